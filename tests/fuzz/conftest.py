"""The gate that whole requests are sent to."""

import random

import pytest

from tests.fuzz.both import MARKS, Differ


@pytest.fixture
async def differ(start_gate, room_name):
    """Sends requests both ways to a room that is held and to one that is open: `differ(seed)`."""
    rooms = [{"name": room_name, "mode": "hold"}, {"name": f"{room_name}f", "paths": ["/free"], "mode": "off"}]
    running = await start_gate(rooms=rooms, origin={"first_byte_timeout": 1})
    desk = running.gate.front.desks[room_name]
    dealt = await desk.joins.join(desk.pretickets.mint()[1])
    ticket = desk.new_ticket(dealt.place, dealt.nonce)[0]
    made = (lambda: desk.pretickets.mint()[0], lambda: ticket, lambda: "x.y.z")
    return lambda seed: Differ(running, room_name, random.Random(seed), dict(zip(MARKS, made, strict=True)))
