"""An origin that fails in every way, under load: bounded time, the right answers, passes kept, no POST sent twice."""

import asyncio
import time
from collections import Counter

import pytest

from tests.faults.crowd import Steady
from tests.faults.ground import admitted, asks, gates, room
from tests.faults.httpwire import head_of
from tests.faults.results import sized, tell
from tests.harness import BytesOrigin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
# What visitors may see of each; 0 stands for a connection broken off, since half an answer must not look whole.
SEEN = {
    "well": {200},
    "hangs": {504},
    "resets": {502},
    "half a head": {502},
    "half a body": {0},
    "stops within a body": {0},
    "garbage": {502},
    "two lengths": {502},
    "dribbles": {200},
    "down": {502},
}
TIMEOUTS = "[origin]\nfirst_byte_timeout = 1\nread_timeout = 1\nconnect_timeout = 1\npool = 64\n"
_ANSWERS = {
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "stops within a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "garbage": b"\x16\x03\x01 what is this\r\n\r\n" * 20,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
}


class MoodyOrigin(BytesOrigin):
    """Does as its mood is; remembers every POST by its path."""

    def __init__(self):
        self.mood = "well"
        self.posts: Counter[bytes] = Counter()

    async def _serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"POST"):
                    self.posts[head.split()[1]] += 1
                if not await self._answer(writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer) -> bool:
        """One answer; whether the connection is kept."""
        mood = self.mood
        if mood == "well":
            writer.write(OK)
            return True
        if mood == "dribbles":
            for byte in OK:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.005)
            return True
        if mood == "resets":
            writer.transport.abort()
        elif mood == "hangs":
            await asyncio.sleep(30)
        else:
            writer.write(_ANSWERS[mood])
            if mood == "stops within a body":
                await asyncio.sleep(30)
        return False

    async def go_down(self):
        """Nobody listens any more, and whoever was connected is not."""
        self.server.close()

    async def come_back(self):
        """On the same address."""
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", int(self.url.rpartition(":")[2]))


async def test_every_mood_of_an_origin(tmp_path):
    """Down, slow, hanging, resetting, half-closed, garbage, and back: right answers in bounded time; all are still inside."""
    seconds = sized(2, 10)
    lines = []
    async with (
        MoodyOrigin() as origin,
        gates(tmp_path / "gates", origin.url, TIMEOUTS + room(release_rate=1_000)) as (gate,),
    ):
        cookies = await admitted(gate.url, 10)
        sent = 0
        for mood, allowed in SEEN.items():
            origin.mood = mood
            if mood == "down":
                await origin.go_down()
            posts = [
                head_of(f"POST /pay/{sent + number}", gate.url, f"Cookie: {cookies[0]}", "Content-Length: 0")
                for number in range(seconds * 20)
            ]
            sent += len(posts)
            begun = time.monotonic()
            async with (
                Steady(gate.url, asks(gate.url, cookies), rate=50, connections=64) as gets,
                Steady(gate.url, posts, rate=15, connections=24) as buys,
            ):
                await asyncio.sleep(seconds)
            took = time.monotonic() - begun
            if mood == "down":
                await origin.come_back()
            done = [one for one in (*gets.done, *buys.done) if one.due > begun + 0.2]
            statuses = Counter(one.status for one in done)
            slowest = max(one.seconds for one in done)
            lines.append(f"{mood} {dict(statuses)} within {slowest:.2f} s")
            assert set(statuses) <= allowed, (mood, statuses)
            assert slowest < 3.5, mood
            assert took < seconds + 6
        origin.mood = "well"
        await asyncio.sleep(0.1)
        async with Steady(gate.url, asks(gate.url, cookies), rate=100, connections=16) as after:
            await asyncio.sleep(1.0)
    twice = sum(count > 1 for count in origin.posts.values())
    tell("11 · an origin that fails", f"{seconds} s each, 50 GETs and 15 POSTs a second", f"{'; '.join(lines)}; POSTs twice: {twice}")
    assert twice == 0
    assert {one.status for one in after.done} == {200}, "back by itself, and everybody is still inside"
