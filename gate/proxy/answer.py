"""An answer on its way to the visitor: the headers as we were given them, and nothing that aiohttp would add.

Owns two corrections to aiohttp's `StreamResponse`: no `Content-Type` is invented for an answer that came without
(a browser would download what it should show), and no `Server` names us.
"""

from collections.abc import Iterable

from aiohttp import hdrs, web
from multidict import CIMultiDict

from gate.core.headers import Header


class Answer(web.StreamResponse):
    """A streamed answer that leaves with exactly these headers, and `Date`, and framing."""

    def __init__(self, status: int, reason: str | None, headers: Iterable[Header]) -> None:
        super().__init__(status=status, reason=reason, headers=CIMultiDict(headers))

    async def _prepare_headers(self) -> None:
        """aiohttp's own, less what it invents."""
        typed, named = hdrs.CONTENT_TYPE in self.headers, hdrs.SERVER in self.headers
        await super()._prepare_headers()
        if not typed:
            self.headers.popall(hdrs.CONTENT_TYPE, None)
        if not named:
            self.headers.popall(hdrs.SERVER, None)
