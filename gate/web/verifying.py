"""Asks an outside verifier whether the token that a visitor's widget gave is good.

Fails closed: a verifier that does not answer opens no door, since whoever can disturb it would be let in. What is sent
is the secret and the token, and no address.
"""

import asyncio
import logging
import time

import aiohttp
import orjson

from gate.core.errors import Reason, RefusalError
from gate.core.verifier import Verifier
from gate.web.budget import Budget
from gate.web.retry import retry_seconds

log = logging.getLogger("gate.verifying")
_SECONDS = 5.0
_UNDER_WAY_MAX, _CONNECTIONS_MAX = 2_000, 500
# How often one network may have its tokens looked at: the calls are ours, and so is the bill.
_ASKED_SIZE, _ASKED_REFILL = 500, 50.0
_TOKEN_LENGTH_MAX = 4_096
_ANSWER_BYTES_MAX = 64 * 1024
_AGAIN_SECONDS = 5.0


class Verifying:
    """One process's calls to verifiers."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._under_way = 0
        self._budget = Budget(_ASKED_SIZE, _ASKED_REFILL)

    async def close(self) -> None:
        """End its connections."""
        if self._session is not None:
            await self._session.close()

    async def is_good(self, verifier: Verifier, token: str, network: str) -> bool:
        """Whether the verifier vouches for this token; `network` is the public one that asks, or ''.

        Raises:
            RefusalError: `verifier-unavailable`, nobody knows; `rate-limited`, this network has asked too often.
        """
        if not token or len(token) > _TOKEN_LENGTH_MAX or not token.isascii():
            return False
        if network and not self._budget.take(network, time.monotonic()):
            raise RefusalError(Reason.RATE_LIMITED, retry_after=retry_seconds(_AGAIN_SECONDS))
        if self._under_way >= _UNDER_WAY_MAX:
            raise _unavailable()
        self._under_way += 1
        try:
            return await self._ask(verifier, token)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            log.warning("verifier", extra={"reason": Reason.VERIFIER_UNAVAILABLE.value, "cause": type(error).__name__})
            raise _unavailable() from error
        finally:
            self._under_way -= 1

    async def _ask(self, verifier: Verifier, token: str) -> bool:
        form = {"secret": verifier.secret, "response": token}
        async with asyncio.timeout(_SECONDS):
            async with self._open().post(verifier.url, data=form, allow_redirects=False) as answer:
                if answer.status != 200:  # noqa: PLR2004  (OK)
                    raise ValueError("not 200")
                said = orjson.loads(await _read(answer))
        if not isinstance(said, dict):
            raise ValueError("not an object")
        if any("secret" in str(code) for code in said.get("error-codes") or ()):
            raise ValueError("our own secret is not accepted")
        return said.get("success") is True

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS_MAX),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The whole answer, if it is no larger than such answers are."""
    body = b""
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > _ANSWER_BYTES_MAX:
            raise ValueError("too large")
    return body


def _unavailable() -> RefusalError:
    return RefusalError(Reason.VERIFIER_UNAVAILABLE, retry_after=retry_seconds(_AGAIN_SECONDS))
