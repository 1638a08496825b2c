"""Plain heads: those that leave nothing to interpret, read without the parser.

Owns what both lanes take for plain: CRLF at every line's end, names that are tokens, values without control
characters, and no header that frames, upgrades or holds back the message. Every head that is plain here is one that
the parser takes too, and reads the same.
"""

import re

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

FIELDS = rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)+)\r\n"
"""A head from its second line to its end; the group holds the header lines."""
_BLOCK = re.compile(FIELDS)
_PAIR = re.compile(rb"([^:\r\n]+):[ \t]*([^\r]*?)[ \t]*\r\n")
_SPECIAL = frozenset(
    b"connection content-length transfer-encoding te trailer expect upgrade http2-settings proxy-connection".split()
)

# RFC 9110's headers of which there is one; the parser refuses a second, so a head with two is not plain.
ONCE = frozenset(
    b"content-length content-location content-range content-type etag host max-forwards server transfer-encoding "
    b"user-agent".split()
)

Pairs = tuple[tuple[bytes, bytes], ...]


def pairs_of(block: bytes, *, but: frozenset[bytes] = frozenset()) -> Pairs | None:
    """The headers of a head that begins after its first line; None if they are not plain, or not ASCII.

    `but`: names (lower case) that the caller looks at itself, plain or not.
    """
    if not block.isascii() or _BLOCK.fullmatch(block) is None:
        return None
    pairs = tuple(_PAIR.findall(block))
    once: set[bytes] = set()
    for name, value in pairs:
        key = name.lower()
        if key in once:
            return None
        if key in ONCE:
            once.add(key)
        if key in _SPECIAL and key not in but and (key != b"connection" or value.lower() != b"keep-alive"):
            return None
    return pairs


class PlainRequest:
    """A GET that was read here, with what judging and forwarding look at in one of aiohttp's."""

    __slots__ = ("headers", "raw_headers", "raw_path", "remote", "scheme")
    method = "GET"
    version = (1, 1)

    def __init__(self, target: bytes, pairs: Pairs, peer: str, scheme: str) -> None:
        self.raw_headers = pairs
        self.raw_path = target.decode("ascii")
        self.remote = peer
        self.scheme = scheme
        self.headers = CIMultiDictProxy(CIMultiDict((name.decode(), value.decode()) for name, value in pairs))


Asking = web.BaseRequest | PlainRequest
