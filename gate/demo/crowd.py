"""A crowd: visitors that join, wait by the page's own poll rule, claim, browse and buy, over HTTP, for ever.

Each visitor is a small coroutine with its own cookies; connections are shared. Whoever has bought comes back as a
new visitor after a while, so that the line stays about as long as the crowd.
"""

import asyncio
import contextlib
import json
import random
import re
import sys
from typing import Any

import aiohttp
from yarl import URL

from gate.core.place import Place
from gate.core.pointer import Pointer

_PAGE_HEADERS = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_SEATS = re.compile(r'value="([A-H]\d+)" required')
_ARRIVAL_SECONDS = 3.0
_TROUBLE = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError, KeyError)


class Visitor:
    """One visitor, from the first page to the confirmation."""

    def __init__(self, base: str, connector: aiohttp.BaseConnector, *, buys: bool) -> None:
        self._base = URL(base)
        self._buys = buys
        self._web = aiohttp.ClientSession(
            connector=connector,
            connector_owner=False,
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            timeout=aiohttp.ClientTimeout(total=30),
        )

    async def visit(self) -> None:
        """The whole way through once."""
        async with self._web:
            await self._get("/")
            place = await self._join()
            while place["status"] == "waiting":
                await asyncio.sleep(await self._until_next_poll(place))
                place = await self._call("GET", "status")
            if place["status"] == "served":
                await self._call("POST", "claim")
            await self._shop()

    async def _join(self) -> dict[str, Any]:
        for _ in range(5):
            place = await self._call("POST", "join")
            if place["status"] != "pending":
                return place
            await asyncio.sleep(0.5)
        raise ValueError("cookies are lost")

    async def _until_next_poll(self, place: dict[str, Any]) -> float:
        async with self._web.get(self._base / "_gate/now/default") as answer:
            pointer = Pointer.read(await answer.json())
        own = Place(place["generation"], place["era"], place["position"])
        return pointer.poll_seconds(own, pointer.time) * random.uniform(0.8, 1.2)

    async def _call(self, method: str, verb: str) -> dict[str, Any]:
        async with self._web.request(method, self._base / f"_gate/{verb}/default") as answer:
            document: dict[str, Any] = await answer.json(content_type=None)
            return {"status": "refused", **document} if answer.ok else {"status": "pending"}

    async def _get(self, path: str) -> str:
        async with self._web.get(self._base.join(URL(path)), headers=_PAGE_HEADERS) as answer:
            return await answer.text()

    async def _shop(self) -> None:
        await self._get("/")
        if not self._buys:
            return
        await asyncio.sleep(random.uniform(1, 4))
        seats = _SEATS.findall(await self._get("/seats"))
        seat = random.choice(seats) if seats else "A1"
        await asyncio.sleep(random.uniform(1, 4))
        csrf = _CSRF.search(await self._get(f"/checkout?seat={seat}"))
        if csrf:
            form = {"csrf": csrf[1], "seat": seat, "name": "Crowd"}
            async with self._web.post(self._base / "order", data=form, headers=_PAGE_HEADERS) as answer:
                await answer.read()


async def crowd(base: str, visitors: int, *, buys: bool) -> None:
    """Keep this many visitors on the way until cancelled."""
    await _until_up(base)
    async with aiohttp.TCPConnector(limit=100) as connector:

        async def come_and_go() -> None:
            await asyncio.sleep(random.uniform(0, _ARRIVAL_SECONDS))
            while True:
                with contextlib.suppress(*_TROUBLE):
                    await Visitor(base, connector, buys=buys).visit()
                await asyncio.sleep(random.uniform(1, 5))

        await asyncio.gather(*(come_and_go() for _ in range(visitors)))


async def _until_up(base: str) -> None:
    async with aiohttp.ClientSession() as probe:
        for _ in range(300):
            with contextlib.suppress(*_TROUBLE):
                async with probe.get(URL(base) / "_gate/readyz") as answer:
                    if answer.ok:
                        return
            await asyncio.sleep(0.1)


def main() -> None:
    """`python -m gate.demo.crowd '{"url": ..., "visitors": N, "buys": true}'`."""
    options = json.loads(sys.argv[1])
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(crowd(options["url"], options["visitors"], buys=options["buys"]))


if __name__ == "__main__":
    main()
