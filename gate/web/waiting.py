"""The waiting page: a real HTML file filled in on the server, so that it says all it knows without JavaScript.

Owns the page's states, its headers and cookies, and the URL to go back to. The script `static/waiting.js` takes
over where there is one; both speak from the same catalogues.
"""

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from aiohttp import web

from gate.core.errors import LAPSED, Reason
from gate.core.estimate import poll_after, wait_range
from gate.core.line import Line
from gate.core.place import reference
from gate.core.recent import Recent
from gate.core.room import Mode, Room
from gate.core.target import NAMESPACE
from gate.core.tokens import Ticket
from gate.core.verifier import PROVIDERS
from gate.web.assets import Assets
from gate.web.caller import Caller
from gate.web.desk import Desk
from gate.web.languages import Catalogue, choose, group_digits, plural
from gate.web.packed import Packed, pack
from gate.web.page import HTML_HEADERS, fill, policy
from gate.web.retry import outage_seconds, retry_seconds

_SAFE_BACK = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")
_BACK_KEPT = "/?:@!$&'()*+,;=-._~%[]#"
_BACK_LENGTH_MAX = 2_048
_HOUR_SECONDS = 3_600
_PACKED_MAX, _PACKED_BACK_MAX = 512, 200
_SEEN_ONCE = Packed({})


@dataclass(frozen=True, slots=True)
class View:
    """What one page says: its state, the ticket it is for, and where it leads back to."""

    state: str
    ticket: Ticket | None
    line: Line | None
    back: str
    form_not_sent: bool
    way: str = ""
    """`history`: the page before is the one to go back to, since the site hides its address."""


class WaitingPages:
    """The pages of all rooms."""

    def __init__(self, rooms: tuple[Room, ...], assets: Assets, root: Path, catalogues: dict[str, Catalogue]) -> None:
        self._catalogues = catalogues
        self._languages = frozenset(catalogues)
        links = {name: assets.add_file(root / name) for name in ("waiting.css", "waiting.js", "icon.svg")}
        self.solver = assets.add_file(root / "proof.js")
        self._packed: Recent[tuple[object, ...], Packed] = Recent(_PACKED_MAX)
        self._templates = {room.name: _template(room, root) for room in rooms}
        self._links = {room.name: _room_links(room, assets, links) for room in rooms}

    def answer(
        self,
        request: web.BaseRequest,
        caller: Caller,
        desk: Desk,
        ticket: Ticket | None,
        *,
        reason: Reason | None = None,
        form_not_sent: bool = False,
        needs_pre: bool = True,
        dead: tuple[str, ...] = (),
    ) -> web.Response:
        """The page for somebody who must wait.

        `reason` says why a ticket shown was not worth a place, `dead` which kinds of cookies are to be cleared.
        """
        back = _referrer_path(request, caller) if form_not_sent else safe_back(caller.target.raw)
        way = "history" if form_not_sent and back == "/" and _is_own_form(request) else ""
        view = View(_state(desk, ticket, reason), ticket, desk.line, back, form_not_sent, way)
        language = choose(request.headers.get("Accept-Language", ""), self._languages)
        status = desk.room.waiting_status if view.state != "away" else Reason.STORE_UNAVAILABLE.status
        body, coding = self._body(desk.room, view, language).choose(request.headers.get("Accept-Encoding", ""))
        more = {"Content-Language": language, "Retry-After": str(_retry_after(desk, view)), **coding}
        if desk.room.verifier is not None:
            more["Content-Security-Policy"] = policy(PROVIDERS[desk.room.verifier.provider].sources)
        answer = web.Response(status=status, body=body, headers={**HTML_HEADERS, **more})
        for cookie in _cookies(desk, caller.scheme, ticket, needs_pre=needs_pre, dead=dead):
            answer.headers.add("Set-Cookie", cookie)
        return answer

    def _body(self, room: Room, view: View, language: str) -> Packed:
        """The page's bytes. A newcomer's page is everybody's who asks for the same URL: packed once, then only sent.

        It is packed when it is asked for again, so that made-up URLs cost no more than the page itself.
        """
        if view.ticket is not None or len(view.back) > _PACKED_BACK_MAX:
            return Packed({"identity": self.render(room, view, language).encode()})
        message = view.line.message if view.line else ""
        key = (room.name, language, view.state, view.back, view.way, view.form_not_sent, message)
        packed = self._packed.get(key)
        if packed is not None and packed.by_coding:
            return packed
        body = self.render(room, view, language).encode()
        seen = packed is not None
        packed = pack(body, quick=True) if seen else Packed({"identity": body})
        self._packed.put(key, packed if seen else _SEEN_ONCE)
        return packed

    def render(self, room: Room, view: View, language: str) -> str:
        """The page's HTML."""
        catalogue = self._catalogues[language]
        values = {
            **self._links[room.name],
            **{f"t_{key}": text for key, text in catalogue.items() if isinstance(text, str)},
            **({"t_no_script": catalogue["needs_script"]} if room.guards_entry else {}),
            **_sentences(view, room, catalogue, language),
            "lang": language,
            "room": room.name,
            "state": view.state,
            "back": view.back,
            "way": view.way,
            "title": _localized(room.looks.title, language) or catalogue["site"],
            "message": (view.line.message if view.line else "") or _localized(room.looks.message, language),
            "form_not_sent": catalogue["form_not_sent"] if view.form_not_sent else "",
            "texts": json.dumps(catalogue, ensure_ascii=False, separators=(",", ":")),
        }
        return fill(self._templates[room.name], values)


def safe_back(path: str) -> str:
    """A path of this site to go back to; `/` for whatever is not plainly one (open redirects).

    Characters that browsers send raw in a query are encoded; the URL stays the same to the site.
    """
    fine = len(path) <= _BACK_LENGTH_MAX and _SAFE_BACK.fullmatch(path) and not path.lower().startswith(NAMESPACE)
    return quote(path, safe=_BACK_KEPT) if fine else "/"


def _referrer_path(request: web.BaseRequest, caller: Caller) -> str:
    """The page a form was on, if it is one of this host's."""
    try:
        parts = urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return "/"
    if parts.netloc.lower() != caller.authority.lower():
        return "/"
    return safe_back(parts.path + (f"?{parts.query}" if parts.query else ""))


def _is_own_form(request: web.BaseRequest) -> bool:
    """Whether a page of this host sent the form."""
    return request.headers.get("Sec-Fetch-Site") == "same-origin"


def _state(desk: Desk, ticket: Ticket | None, reason: Reason | None) -> str:
    line = desk.line
    if reason is Reason.STORE_UNAVAILABLE or line is None:
        return "away"
    if ticket is not None:
        if line.served(ticket.place):
            return "served"
        return "held" if line.mode is Mode.HOLD else "waiting"
    if reason in LAPSED:
        return "lapsed"
    if line.mode is Mode.CLOSED:
        return "closed"
    return "full" if line.full else "joining"


def _retry_after(desk: Desk, view: View) -> int:
    if view.state == "away":
        return outage_seconds(desk.away_for)
    wait = wait_range(view.line, view.ticket.place) if view.line and view.ticket else None
    seconds = poll_after(desk.room.poll, wait.low if wait else 0)
    return retry_seconds(seconds)


def _cookies(desk: Desk, scheme: str, ticket: Ticket | None, *, needs_pre: bool, dead: tuple[str, ...]) -> list[str]:
    """A pre-ticket for a newcomer; a ticket made anew past half of its life; dead ones of ours cleared."""
    jar = desk.jar(scheme)
    if ticket is not None:
        anew = desk.is_worn(ticket)
        return [desk.ticket_cookie(scheme, desk.new_ticket(ticket.place, ticket.nonce)[0])] if anew else []
    return [*([desk.pre_cookie(scheme)] if needs_pre else []), *map(jar.clear, dead)]


def _sentences(view: View, room: Room, catalogue: Catalogue, language: str) -> dict[str, str]:
    """The sentences with numbers in them."""
    said = {"heading": catalogue[f"heading_{view.state}"], "explanation": catalogue.get(f"text_{view.state}", "")}
    line, ticket = view.line, view.ticket
    if line is None or ticket is None:
        return said
    ahead, wait = line.ahead(ticket.place), wait_range(line, ticket.place)
    said |= {
        "position": group_digits(language, line.rank(ticket.place)),
        "ahead": plural(catalogue, "ahead", language, ahead).format(n=group_digits(language, ahead)) if ahead else "",
        "wait": wait_text(catalogue, language, wait.low, wait.high) if wait else catalogue["wait_unknown"],
        "safe": catalogue["safe"].format(until=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(ticket.expires))),
        "turn_kept": duration_text(catalogue, language, "turn_kept", room.claim_within),
        "reference": reference(ticket.place, ticket.nonce),
    }
    if view.state == "waiting" and ahead == 0:
        said["heading"] = catalogue["heading_next"]
    return said


def wait_text(catalogue: Catalogue, language: str, low: int, high: int) -> str:
    """An expected wait as people say it: under a minute, some minutes, some hours."""
    if high <= 60:  # noqa: PLR2004  (a minute)
        return str(catalogue["wait_soon"])
    unit, seconds = ("wait_hours", _HOUR_SECONDS) if low >= 2 * _HOUR_SECONDS else ("wait_minutes", 60)
    least, most = max(low // seconds, 1), -(-high // seconds)
    span = group_digits(language, most) if least == most else f"{least}–{group_digits(language, most)}"  # noqa: RUF001
    return plural(catalogue, unit, language, most).format(n=span)


def duration_text(catalogue: Catalogue, language: str, key: str, seconds: float) -> str:
    """A sentence with a whole number of minutes in it."""
    minutes = max(round(seconds / 60), 1)
    return plural(catalogue, key, language, minutes).format(n=group_digits(language, minutes))


def _localized(texts: dict[str, str], language: str) -> str:
    for key in (language, ""):
        if key in texts:
            return texts[key]
    return next((text for key, text in texts.items() if key.partition("-")[0] == language), "")


def _template(room: Room, root: Path) -> str:
    return (Path(room.looks.page) if room.looks.page else root / "waiting.html").read_text(encoding="utf-8")


def _room_links(room: Room, assets: Assets, links: dict[str, str]) -> dict[str, str]:
    theme = f":root{{--accent:{room.looks.accent}}}" if room.looks.accent else ":root{}"
    logo = assets.add_file(Path(room.looks.logo)) if room.looks.logo else links["icon.svg"]
    return {
        "css": links["waiting.css"],
        "js": links["waiting.js"],
        "theme": assets.add(f"theme-{room.name}.css", theme.encode()),
        "logo": logo,
        "icon": links["icon.svg"],
    }
