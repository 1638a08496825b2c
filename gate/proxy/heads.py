"""The head of an origin's answer, read by one strict parser (llhttp), once for the same bytes.

Owns how an answer is framed (RFC 9112 section 6.3). Whatever leaves that open is `OddAnswerError`: two lengths, a
length beside a coding, a coding other than `chunked`, line ends that are not CRLF.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import httptools

from gate.core.headers import Header, read_pairs

# What is larger, the ordinary way may judge.
HEAD_BYTES_MAX = 64 * 1024
_SWITCHING_PROTOCOLS = 101
_STATUS_MIN, _FIRST_FINAL_STATUS, _STATUS_MAX = 100, 200, 999
_EMPTY_STATUSES = frozenset({204, 304})


class OddAnswerError(Exception):
    """An answer that is not HTTP/1.x, or can be read in more than one way."""


class Framing(Enum):
    """How the end of an answer's body is known."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


@dataclass(slots=True, eq=False)
class AnswerHead:
    """One head. `length` in bytes; `keeps`: the connection can be used again after the body.

    `made` is room for whoever makes a head for the visitor from this one, to do it once for the same bytes.
    """

    status: int
    reason: str
    headers: list[Header]
    framing: Framing
    length: int
    keeps: bool
    made: dict[str, bytes] = field(default_factory=dict)
    dated: bool = True
    """Whether it says when it was made."""

    @property
    def interim(self) -> bool:
        """Whether the answer itself is still to come (RFC 9110 section 15.2)."""
        return self.status < _FIRST_FINAL_STATUS and self.status != _SWITCHING_PROTOCOLS


class _Heard:
    """What the parser tells of one message."""

    def __init__(self) -> None:
        self.reason = b""
        self.pairs: list[tuple[bytes, bytes]] = []
        self.is_whole = self.keeps = False
        self.parser = httptools.HttpResponseParser(self)

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self.pairs.append((name, value))

    def on_headers_complete(self) -> None:
        self.is_whole = True
        self.keeps = self.parser.should_keep_alive()  # which it forgets with the end of an empty body


def read_head(raw: bytes) -> AnswerHead:
    """The head in `raw`, which ends with its empty line. Raises OddAnswerError."""
    heard = _Heard()
    parser = heard.parser
    upgrades = False
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        upgrades = True
    except httptools.HttpParserError as error:
        raise OddAnswerError(type(error).__name__) from error
    status: int = parser.get_status_code()
    if not heard.is_whole or (upgrades and status != _SWITCHING_PROTOCOLS):
        raise OddAnswerError("not a head")
    framing, length = framing_of(status, heard.pairs)
    keeps = not upgrades and framing is not Framing.UNTIL_CLOSE and heard.keeps
    reason, headers = heard.reason.decode("utf-8", "ignore"), read_pairs(heard.pairs)
    dated = any(name.lower() == "date" for name, _ in headers)
    return AnswerHead(status, reason, headers, framing, length, keeps, dated=dated)


def framing_of(status: int, pairs: Sequence[tuple[bytes, bytes]]) -> tuple[Framing, int]:
    """How an answer with these headers is framed, and its length. Raises OddAnswerError where that is left open."""
    if not _STATUS_MIN <= status <= _STATUS_MAX:
        raise OddAnswerError("a status that is none")
    lengths = [value for name, value in pairs if name.lower() == b"content-length"]
    codings = [value.lower() for name, value in pairs if name.lower() == b"transfer-encoding"]
    if len(lengths) > 1 or len(codings) > 1 or (lengths and codings) or codings not in ([], [b"chunked"]):
        raise OddAnswerError("more than one framing")
    if status < _FIRST_FINAL_STATUS or status in _EMPTY_STATUSES:
        return Framing.NONE, 0
    if codings:
        return Framing.CHUNKED, 0
    if not lengths:
        return Framing.UNTIL_CLOSE, 0
    if not lengths[0].isdigit():
        raise OddAnswerError("a length that is no number")
    return Framing.LENGTH, int(lengths[0])


class Chunks:
    """The body of a chunked answer, unchunked; extensions and trailers are dropped."""

    def __init__(self, raw_head: bytes) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self.ended = self.overran = False
        self._parser.feed_data(raw_head)

    def on_message_begin(self) -> None:
        """A second answer, of which there must be none."""
        self.overran = self.overran or self.ended

    def on_body(self, data: bytes) -> None:
        """A piece of the body; what follows its end is another's."""
        if not self.ended:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        """The last chunk and the trailers have come."""
        self.ended = True

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body in `data`. Raises OddAnswerError for anything that is not chunks.

        What follows the last chunk is nobody's: then `overran` is set, and the connection is of no more use.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.ended:
                raise OddAnswerError(type(error).__name__) from error
            self.overran = True
        body = b"".join(self._parts)
        self._parts.clear()
        return body
