"""What our own pages share: how a template is filled, and the headers that keep it ours.

A template is a real HTML file with `{{name}}` holes; every value is escaped, so that nothing that came from outside
or from an operator is ever more than text.
"""

import html
import re
from collections.abc import Mapping

_HOLE = re.compile(r"\{\{(\w+)\}\}")

HTML_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
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
