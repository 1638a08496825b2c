"""The waiting page as it would look: any room, state, distance and language, from made-up numbers alone.

It is the real template, the real script and the real documents; `static/preview.js` answers the script's requests
from what is written here, so that nothing of a real line is asked or touched.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

from gate.core.errors import Reason, problem_document
from gate.core.estimate import wait_range
from gate.core.line import Era, Line
from gate.core.place import Place, reference
from gate.core.pointer import Pointer
from gate.core.room import Mode, Room
from gate.core.tokens import Ticket
from gate.web.waiting import View, WaitingPages

_NONCE = "preview"
_SERVED = 20_000
_NO_TICKET = ("joining", "closed", "full", "lapsed", "away")
_REFUSED = {"closed": Reason.ROOM_CLOSED, "full": Reason.ROOM_FULL, "away": Reason.STORE_UNAVAILABLE}
_SECONDS_HELD = 86_400


@dataclass(frozen=True, slots=True)
class Previews:
    """Renders previews with the real pages' templates; `script` is the URL of `preview.js`."""

    pages: WaitingPages
    rooms: dict[str, Room]
    script: str

    def render(
        self, room_name: str, state: str, ahead: int, language: str, message: str = "", rate: float | None = None
    ) -> str:
        """The page's HTML."""
        room = self.rooms[room_name]
        distance = 0 if state in ("next", "served") else ahead
        line, ticket = _made_up(room, state, distance, message, rate or room.release_rate)
        shown = {"next": "waiting", "form-not-sent": "waiting"}.get(state, state)
        view = View(
            state=shown,
            ticket=None if state in _NO_TICKET else ticket,
            line=line,
            back="/",
            form_not_sent=state == "form-not-sent",
        )
        page = self.pages.render(room, view, language)
        answers = json.dumps(_answers(room, state, line, ticket), separators=(",", ":"))
        tag = f'<script src="{self.script}" data-answers="{_escaped(answers)}"></script>\n<script '
        return page.replace("<script ", tag, 1)


def _made_up(room: Room, state: str, ahead: int, message: str, rate: float) -> tuple[Line, Ticket]:
    """A line in which somebody has so many before him, and his ticket."""
    now = time.time()
    era = int(now * 1000)
    position = _SERVED + ahead + 1
    serving = position if state == "served" else _SERVED
    mode = {"held": Mode.HOLD, "closed": Mode.CLOSED}.get(state, Mode.AUTO)
    line = Line(
        room=room.name,
        generation=era,
        now_serving=serving,
        eras=(Era(era, position + ahead // 2 + 1),),
        at=now,
        release_rate=rate,
        burst=room.burst,
        mode=mode,
        max_issued=None,
        message=message,
        revision=1,
        dealt_before=0,
        claimed=0,
        slot=int(now // 10),
        time=now,
    )
    place = Place(era, era, position)
    return line, Ticket(room.name, place, _NONCE, int(now), int(now + room.ticket_life))


def _answers(room: Room, state: str, line: Line, ticket: Ticket) -> dict[str, Any]:
    """What the script shall hear: verb to status and body. The pointer stands still."""
    refused = _REFUSED.get(state)
    still = {**Pointer.of(line, room).document(), "release_rate": 0 if state == "held" else line.release_rate}
    still |= {"lease_until": line.time, "at": line.time}
    wait = wait_range(line, ticket.place)
    status = {
        "room": room.name,
        "status": "waiting",
        "now_serving": line.now_serving,
        "issued": line.serving.last,
        "position": ticket.place.position,
        "number": ticket.place.position,
        "ahead": line.ahead(ticket.place),
        "wait": {"low": wait.low, "high": wait.high} if wait else None,
        "generation": line.generation,
        "era": line.serving.number,
        "reference": reference(ticket.place, _NONCE),
        "kept_until": int(line.time) + _SECONDS_HELD,
        "claim_within": round(room.claim_within),
    }
    join: list[Any] = [200, status]
    if refused is not None:
        join = [refused.status, problem_document(refused)]
    elif state == "joining":
        join = [0, None]  # no answer yet
    return {"join": join, "now": [200, still], "claim": [0, None]}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
