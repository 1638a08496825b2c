"""One meaning per target: whatever can be read in two ways that matter is refused."""

import pytest

from gate.core.errors import RefusalError
from gate.core.room import Bypass, Room
from gate.core.target import parse_host, parse_target, readings, route

BOOK = Room(name="book", paths=("/book",))
OPEN = Room(name="site", bypass=(Bypass(paths=("/open",)),))

TRICKS = [
    "/./book", "//book", "/open/../book", "/%62ook", "/open/..;/book", "/open/%252e%252e/book", "/open/%2e%2e/book",
    "/open\\..\\book", "/BOOK", "/Book/x", "/book;x=1", "/%5cbook", "/book%2fx", "/open/%2e%2e%2fbook", "/book.", "/book%20",
    "/open/..%5cbook", "/%2fbook", "/book%3fx", "/book%23x", "/x;/../book", "/open/.//../book", "/b%256fok",
]  # fmt: skip


@pytest.mark.parametrize("path", TRICKS)
def test_no_spelling_gets_round_a_room(path):
    """A spelling that some origin may take for the protected path is the room's in every reading, or 400."""
    try:
        found = route((BOOK,), "h", parse_target(path, "h", "GET").path, "GET", None)
    except RefusalError:
        return
    assert found.room is BOOK


@pytest.mark.parametrize("path", ["/open/../book", "/open;/../book", "/OPEN/x", "/%6fpen/x", "/open%2f..%2fbook"])
def test_no_spelling_opens_a_rule(path):
    """An open rule holds only if every reading falls under it."""
    with pytest.raises(RefusalError):
        route((OPEN,), "h", path, "GET", None)


@pytest.mark.parametrize(
    "path", ["/", "/book", "/book/x.y", "/a-b_c~d/e", "/book/%C3%A9", "/book/a%20b", "/book/x;v=1"]
)
def test_honest_spellings_pass(path):
    """What ordinary sites use is not refused."""
    route((BOOK,), "h", path, "GET", None)


def test_prefixes_end_at_segments():
    """`/book` is not `/bookshop`; `/book*` is."""
    assert route((BOOK,), "h", "/bookshop", "GET", None).room is None
    assert route((Room(paths=("/book*",)),), "h", "/bookshop", "GET", None).room is not None


def test_a_room_with_capitals_matches_its_own_spelling():
    """`/Book` protects `/Book`; `/book` could be the same to a case-blind origin, so it is refused."""
    room = Room(paths=("/Book",))
    assert route((room,), "h", "/Book/1", "GET", None).room is room
    with pytest.raises(RefusalError):
        route((room,), "h", "/book/1", "GET", None)


@pytest.mark.parametrize("path", ["/_gate/now/x", "/_gate"])
def test_the_namespace_is_the_gates(path):
    """`/_gate/` belongs to no room."""
    assert route((Room(),), "h", path, "GET", None).own


@pytest.mark.parametrize("path", ["/x/../_gate/now", "/_GATE/now", "/%5fgate/now", "//_gate/now"])
def test_the_namespace_has_one_spelling(path):
    """Another spelling of it is refused, since it is read in two ways."""
    with pytest.raises(RefusalError):
        route((Room(),), "h", path, "GET", None)


@pytest.mark.parametrize("raw", ["/a#b", "/a b", "/a\x7f", "/é", "book", "", "/a%00", "/a%2500", "http://other/x", "*"])
def test_targets_that_are_none(raw):
    """Fragments, spaces, control and non-ASCII bytes, NUL, another host and bare words: 400."""
    with pytest.raises(RefusalError):
        parse_target(raw, "h", "GET")


def test_absolute_form_of_the_same_host_is_its_path():
    """RFC 9112 section 3.2.2, and `OPTIONS *`."""
    assert parse_target("http://H:80/book?x", "h", "GET").raw == "/book?x"
    assert parse_target("http://h", "h", "GET").raw == "/"
    assert parse_target("*", "h", "OPTIONS").raw == "*"


@pytest.mark.parametrize("host", [None, "", "a/b?c@d", "a:99999", "a:", "a b", "-", "[::1", "a,b"])
def test_hosts_that_are_none(host):
    """A Host that is missing or not a host is 400."""
    with pytest.raises(RefusalError):
        parse_host(host)


def test_hosts_lose_case_port_and_root_dot():
    """One name for one host."""
    assert parse_host("Shop.Example.:8443") == "shop.example"
    assert parse_host("[::1]:80") == "[::1]"


def test_plain_paths_have_one_reading():
    """The common case costs one pattern."""
    assert readings("/book/tickets/2026") == {"/book/tickets/2026"}


def test_the_query_never_takes_part():
    """`/open?/book` is `/open`."""
    assert route((BOOK,), "h", parse_target("/open?/../book", "h", "GET").path, "GET", None).room is None
