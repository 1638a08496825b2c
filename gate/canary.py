"""The canary: a made-up visitor who joins, waits, is let in and fetches a page, through the public listener.

Off unless `[canary] every` is set. It finds what no number tells: that a turn really leads to a page. What it took
of the line is given back afterwards (`lua/discount.lua`), so it is not in the count.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import aiohttp

from gate.core.place import Place
from gate.core.room import Mode, Room
from gate.settings import Config
from gate.store.connection import StoreUnavailableError
from gate.store.live import Live
from gate.store.rooms import RoomStore

log = logging.getLogger("gate.canary")
_HEADERS = {
    "Accept": "text/html",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "User-Agent": "gate-canary",
}
_ANSWER_SECONDS = 30.0
_BODY_BYTES_MAX = 1_000_000
_OK = 200


class CanaryError(Exception):
    """The visit did not lead to the page; the message says which step failed."""


class Canary:
    """One visitor after another."""

    def __init__(
        self, config: Config, listen: tuple[str, int], live: Live, store: RoomStore, now: Callable[[], float]
    ) -> None:
        self._settings = config.canary
        self._live, self._store, self._now = live, store, now
        name = self._settings["room"]
        self._room: Room = next((room for room in config.rooms if room.name == name), config.rooms[0])
        self._base = config.listen_url(listen)
        self._runs = self._failures = 0
        self._turn_to_page, self._ok, self._claimed = 0.0, True, False

    def numbers(self) -> dict[str, float]:
        """What came of it so far; empty while it is off."""
        if not self._settings["every"]:
            return {}
        return {
            "runs": self._runs,
            "failures": self._failures,
            "turn_to_page": round(self._turn_to_page, 4),
            "ok": float(self._ok),
        }

    async def run(self) -> None:
        """Visit every so often, until cancelled; not at all unless it is switched on."""
        every = self._settings["every"]
        while every:
            await asyncio.sleep(every)
            await self.visit()

    async def visit(self) -> None:
        """One visit, and what is to be told of it; none while the room takes nobody or needs no turn."""
        line = self._live.line(self._room.name)
        if line is not None and line.mode in (Mode.CLOSED, Mode.OFF):
            return
        self._runs += 1
        try:
            self._turn_to_page = await self._walk()
        except (CanaryError, StoreUnavailableError, aiohttp.ClientError, OSError, ValueError, KeyError) as error:
            self._failed(str(error) or type(error).__name__)
            return
        if self._turn_to_page > self._settings["within"]:
            self._failed(f"{self._turn_to_page:.2f} s from turn to page, allowed {self._settings['within']:g} s")
            return
        if not self._ok:
            log.info("canary well again", extra={"room": self._room.name, "seconds": round(self._turn_to_page, 3)})
        self._ok = True

    def _failed(self, cause: str) -> None:
        self._failures += 1
        self._ok = False
        log.error("canary failed", extra={"room": self._room.name, "cause": cause})

    async def _walk(self) -> float:
        """Join, wait for the turn, go to the page, give back what was taken; seconds from the turn to the page."""
        names = self._room.hosts[0].replace("*.", "canary.") if self._room.hosts else ""
        headers = {**_HEADERS, "Gate-Client": "api", **({"Host": names} if names else {})}
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        async with aiohttp.ClientSession(
            self._base, headers=headers, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            ticket, place = await self._join(session)
            self._claimed = False
            try:
                turn = await self._wait_for_turn(place)
                await self._enter(session, ticket)
                return max(self._now() - turn, 0.0)
            finally:
                line = self._live.line(self._room.name)
                if line is not None and line.generation == place.generation:
                    with contextlib.suppress(StoreUnavailableError):
                        await self._store.discount(line, claimed=self._claimed)

    async def _join(self, session: aiohttp.ClientSession) -> tuple[str, Place]:
        pre = ""
        for _ in range(3):
            headers = {"Gate-Ticket": pre} if pre else {}
            async with session.post(f"/_gate/join/{self._room.name}", headers=headers, ssl=False) as answer:
                said = await answer.json()
            if answer.status == _OK:
                place = Place(said["generation"], said["era"], said["position"])
                return said["ticket"], place
            pre = said.get("pre_ticket", "")
            if not pre:
                break
        raise CanaryError(f"join was answered {answer.status} {said.get('type', '')}")

    async def _wait_for_turn(self, place: Place) -> float:
        """When the turn came (seconds of the store's clock), as far as ticks tell; patient as long as the line is."""
        began = time.monotonic()
        while True:
            line = self._live.line(self._room.name)
            if line is not None and line.generation != place.generation:
                raise CanaryError("the line was reset meanwhile")
            if line is not None and line.served(place):
                return self._now()
            if line is not None and not line.releases:
                began = time.monotonic()  # held: nobody's turn comes
            expected = (line.ahead(place) + 1) / line.release_rate if line is not None else 0.0
            if time.monotonic() - began > 2 * expected + _ANSWER_SECONDS:
                raise CanaryError("its turn did not come in twice the time expected")
            await asyncio.sleep(0.05)

    async def _enter(self, session: aiohttp.ClientSession, ticket: str) -> None:
        path, marker = self._settings["path"], self._settings["marker"]
        async with session.get(path, headers={"Gate-Ticket": ticket}, ssl=False, allow_redirects=False) as answer:
            self._claimed = "Gate-Pass" in answer.headers  # whatever the site answers, the turn was taken
            body = await answer.content.read(_BODY_BYTES_MAX)
        if marker and marker.encode() not in body:
            raise CanaryError(f"the page was answered {answer.status}, without its marker")
        if not marker and answer.status >= 400:  # noqa: PLR2004  (an error, of the origin or ours)
            raise CanaryError(f"the page was answered {answer.status}")
