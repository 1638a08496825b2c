"""Whatever the internet sends: parsers answer or refuse, and never fail otherwise."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from gate.core.errors import RefusalError
from gate.core.headers import make_private, strip_own_cookies, to_origin
from gate.core.keyring import Algorithm, Key, KeyRing
from gate.core.room import Bypass, Room
from gate.core.target import parse_host, parse_target, route
from gate.core.tokens import Tokens
from gate.web.cookies import parse_cookies
from gate.web.languages import choose
from gate.web.waiting import safe_back

TOKENS = Tokens(KeyRing((Key("k", b"k" * 32, Algorithm.HS256, 0),), 0))
ROOMS = (Room(name="a", paths=("/book",), bypass=(Bypass(paths=("/book/open",)),)), Room(name="b", hosts=("x",)))
PATHS = st.text(alphabet="/.%25bo k;\\?#25EFe\x00\xe9", max_size=40).map(lambda text: "/" + text)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(PATHS)
def test_targets(raw):
    """A target is understood in one way or refused."""
    try:
        target = parse_target(raw, "h", "GET")
        found = route(ROOMS, "h", target.path, "GET", None)
    except RefusalError:
        return
    assert target.raw == raw
    assert found.room in (None, ROOMS[0])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_texts(text):
    """Hosts, tokens, cookies, languages, ways back and headers of any text."""
    with contextlib.suppress(RefusalError):
        parse_host(text)
    assert TOKENS.read_pass(text, "a") is None
    assert TOKENS.read_ticket(text, "a") is None
    assert TOKENS.read_pre_ticket(text, "a", 0.0) is None
    parse_cookies([text, f"gate_pass_a={text}"])
    assert not strip_own_cookies(f"{text}; gate_pass_a=1").endswith("gate_pass_a=1")
    assert choose(text, frozenset({"en", "de"})) in ("en", "de")
    assert safe_back(text).startswith("/")
    assert not safe_back(text).startswith("//")
    make_private([("Cache-Control", text)], no_store=False)
    with contextlib.suppress(RefusalError):
        list(to_origin([("Connection", text), (text, text), ("Cookie", text)], trusted=False))
