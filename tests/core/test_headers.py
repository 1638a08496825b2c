"""The header rules as functions."""

import pytest

from gate.core.errors import RefusalError
from gate.core.headers import forwarded_element, make_private, strip_own_cookies, to_origin


@pytest.mark.parametrize("named", ["Host", "host, close", "Content-Length"])
def test_connection_may_not_name_what_frames_or_routes(named):
    """Taking Host or Content-Length away would change the message: 400."""
    with pytest.raises(RefusalError):
        list(to_origin([("Connection", named), ("Host", "x")], trusted=False))


def test_connection_cannot_take_credentials_away():
    """`Connection: Cookie` does not strip what the origin needs."""
    kept = dict(to_origin([("Connection", "Cookie"), ("Cookie", "a=1")], trusted=False))
    assert kept == {"Cookie": "a=1"}


def test_own_cookies_are_cut_out_wherever_they_stand():
    """Every prefix, every kind, in any place; what is left keeps its order."""
    line = "a=1; gate_pass_r=x; __Host-gate_ticket_r=y; b=2;gate_pre_r=z; __Secure-gate_pass_q=w; mygate_pass=3"
    assert strip_own_cookies(line) == "a=1; b=2; mygate_pass=3"
    assert strip_own_cookies("gate_pass_r=x") == ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("public, max-age=60", "private, max-age=60"),
        ("s-maxage=60", "private"),
        ("no-cache", "private, no-cache"),
        ("private, must-revalidate", "private, must-revalidate"),
        (None, "private"),
    ],
)
def test_answers_become_private(given, expected):
    """Directives for shared caches go, the rest stays."""
    headers = [("Cache-Control", given)] if given else []
    assert make_private(headers, no_store=False) == [("Cache-Control", expected)]


def test_no_store_wins_where_our_cookie_is_set():
    """Whatever the origin said."""
    assert make_private([("Cache-Control", "public, max-age=60")], no_store=True)[-1][1] == "private, no-store"


def test_forwarded_quotes_what_must_be_quoted():
    """RFC 7239 section 6: IPv6 and ports."""
    assert forwarded_element("::1", "h:80", "https") == 'for="[::1]";host="h:80";proto=https'
    assert forwarded_element("10.0.0.1", "h", "http") == "for=10.0.0.1;host=h;proto=http"
