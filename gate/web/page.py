"""What our own pages share: how a template is filled, and the headers that keep it ours.

A template is a real HTML file with `{{name}}` holes; every value is escaped, so that nothing that came from outside
or from an operator is ever more than text.
"""

import html
import re
from collections.abc import Mapping

_HOLE = re.compile(r"\{\{(\w+)\}\}")



def policy(others: str = "") -> str:
    """The Content-Security-Policy of our pages: ourselves alone, and those `others` whose widget a page shows."""
    more = f" {others}" if others else ""
    frames = f" frame-src{more};" if others else ""
    return (
        f"default-src 'none'; script-src 'self'{more}; style-src 'self'{more}; img-src 'self'; "
        f"connect-src 'self'{more};{frames} form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


HTML_HEADERS = {
    "Content-Security-Policy": policy(),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
    "Content-Type": "text/html; charset=utf-8",
    "Server": "gate",
}


def fill(template: str, values: Mapping[str, object]) -> str:
    """The page: each hole filled with its value, escaped for text and attributes; a hole without one is empty."""
    return _HOLE.sub(lambda hole: html.escape(str(values.get(hole[1], "")), quote=True), template)
