"""Where one request ends and the next begins on a connection, as far as that is certain.

The lanes may be offered a read only where a request must begin. The parser does not say where it stands, so this
counts beside it: from one boundary, through one head and a body of known length, to the next. Whatever makes that
uncertain (several requests in a read, chunks, an upgrade, an error) loses the boundary for the connection's life.
"""

_SINCE_BYTES_MAX = 64 * 1024


class Boundary:
    """One connection's. It begins at a boundary."""

    __slots__ = ("_left", "_lost", "_since")

    def __init__(self) -> None:
        self._since = b""
        self._left = 0
        self._lost = False

    def passed(self, data: bytes, arrived: int, body_length: int | None) -> bool:
        """The parser was given these bytes, and the connection stands at a boundary again.

        Args:
            data: what it was given.
            arrived: how many heads it has found whole by them.
            body_length: of the one that arrived, in bytes; None if that is not known, or none arrived.
        """
        if self._lost:
            return False
        if not data and not arrived:
            return not self._left and not self._since
        if self._left:
            self._left -= len(data)
            self._lost = self._left < 0 or arrived > 0
            return not self._lost and not self._left
        since = self._since + data
        # A head that begins with its method ends at the first empty line: the parser takes nothing else for one.
        fits = len(since) <= _SINCE_BYTES_MAX and since[:1].isalpha()
        if fits and arrived == 0:
            self._since = since
            return False
        if not fits or arrived > 1 or body_length is None:
            self._lost = True
            return False
        self._since = b""
        self._left = body_length - (len(since) - since.index(b"\r\n\r\n") - 4)
        self._lost = self._left < 0
        return not self._left
