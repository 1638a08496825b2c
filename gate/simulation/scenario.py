"""A night as it is written down: a TOML file, or an on-sale by a few numbers. Every fault of a file at once."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gate import values
from gate.core.room import Mode, PollRule, Room
from gate.fault import ConfigError, Fault
from gate.setting_table import Setting
from gate.settings import make_room, read_file, read_table
from gate.simulation.arrivals import Arrivals, Phase, Recorded, Shape

VISITORS_MAX = 100_000_000
_DAYS_30 = 30 * 86_400.0
_SHARE_SLACK = 0.001
_span, _moment, _share = values.seconds(0.1, _DAYS_30), values.seconds(0, _DAYS_30), values.number(0, 1)

ROWS: tuple[Setting, ...] = (
    Setting("arrivals", "share", _share, 1.0, "Which part of all visitors comes in this phase."),
    Setting("arrivals", "over", _span, 60.0, "How long the phase takes."),
    Setting("arrivals", "shape", values.choice(*Shape), "even", "`even`, `rising` from nobody or `falling` to nobody."),
    Setting("crowd", "no_show", _share, 0.05, "Which part waits, but does not come when served."),
    Setting("crowd", "leave", _share, 0.05, "Which part gives up while it waits, after `patience` on average."),
    Setting("crowd", "patience", _span, 1_200.0, "How long those who give up wait on average."),
    Setting("crowd", "hidden", _share, 0.3, "Which part keeps the page in a tab behind others."),
    Setting("crowd", "looks_after", _span, 60.0, "How long those take to look at the tab once it calls, on average."),
    Setting("crowd", "requests", values.count(1, 10_000), 20, "How many requests a visit makes of the site."),
    Setting("change", "at", _moment, 0.0, "When an operator changes something."),
    Setting("change", "release_rate", values.optional(values.rate), None, "The new rate."),
    Setting("change", "mode", values.optional(values.choice("auto", "hold", "closed")), None, "The new mode."),
    Setting("outage", "at", _moment, 0.0, "When the store goes away."),
    Setting("outage", "for", _span, 60.0, "For how long."),
    Setting("gates", "count", values.count(1, 1_000), 6, "Gate processes: workers and supervisors of all machines."),
    Setting("gates", "edges", values.count(1, 10_000), 50, "Places of the CDN that ask the gates on their own."),
)
_TABLES = {row.table for row in ROWS} | {"visitors", "seed", "sample", "room"}
# What of a room's settings a simulation heeds; another key is a fault, so that nobody thinks it was looked at.
_ROOM_KEYS = ("release_rate", "burst", "mode", "max_issued", "claim_within", "lease")
_POLL_KEYS = ("poll_min", "poll_max", "poll_fraction")


@dataclass(frozen=True, slots=True)
class Crowd:
    """How visitors behave: shares from 0 to 1; `patience` and `looks_after` are means in seconds."""

    no_show: float = 0.05
    leave: float = 0.05
    patience: float = 1_200.0
    hidden: float = 0.3
    looks_after: float = 60.0
    requests: int = 20


@dataclass(frozen=True, slots=True)
class Change:
    """What an operator does, `at` seconds into the night."""

    at: float
    release_rate: float | None = None
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch without the store, in seconds of the night."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """One night: who comes, what the room is set to, and what happens."""

    arrivals: Arrivals | Recorded
    room: Room
    crowd: Crowd = Crowd()
    changes: tuple[Change, ...] = ()
    outages: tuple[Outage, ...] = ()
    gates: int = 6
    edges: int = 50
    sample: int = 20_000
    """How many visitors are followed one by one."""
    seed: int = 1

    def with_poll(self, poll: PollRule) -> "Scenario":
        """The same night under another poll rule."""
        return replace(self, room=replace(self.room, poll=poll))

    def with_sample(self, sample: int) -> "Scenario":
        """The same night with so many visitors followed."""
        return replace(self, sample=sample)


def read_scenario(path: Path) -> Scenario:
    """The night that a TOML file describes.

    Raises:
        ConfigError: with every fault found.
    """
    faults: list[Fault] = []
    data, where = read_file(path, faults), str(path)
    if faults:
        raise ConfigError(faults)
    faults += [Fault(where, key, "is unknown", ", ".join(sorted(_TABLES))) for key in sorted(data.keys() - _TABLES)]
    top = {
        key: _number(data, key, where, least, most, default, faults)
        for key, least, most, default in (
            ("visitors", 1, VISITORS_MAX, 500_000),
            ("sample", 100, 10_000_000, 20_000),
            ("seed", 0, 2**31, 1),
        )
    }
    phases = [Phase(row["share"], row["over"], Shape(row["shape"])) for row in _list(data, "arrivals", where, faults)]
    if abs(sum(phase.share for phase in phases) - 1) > _SHARE_SLACK:
        faults.append(Fault(where, "arrivals", "has shares that do not add up to 1", "shares of all phases, in all 1"))
    changes = [
        Change(row["at"], row["release_rate"], Mode(row["mode"]) if row["mode"] else None)
        for row in _list(data, "change", where, faults)
    ]
    outages = [Outage(row["at"], row["for"]) for row in _list(data, "outage", where, faults)]
    gates = read_table("gates", data.get("gates", {}), where, faults, rows=ROWS)
    crowd = Crowd(**read_table("crowd", data.get("crowd", {}), where, faults, rows=ROWS))
    room = _room(data.get("room", {}), where, faults)
    if faults:
        raise ConfigError(faults)
    return Scenario(
        Arrivals(top["visitors"], tuple(phases)),
        room,
        crowd,
        tuple(sorted(changes, key=lambda change: change.at)),
        tuple(sorted(outages, key=lambda outage: outage.at)),
        gates["count"],
        gates["edges"],
        top["sample"],
        top["seed"],
    )


def _number(
    data: dict[str, Any], key: str, where: str, least: int, most: int, default: int, faults: list[Fault]
) -> int:
    try:
        return values.count(least, most)(data.get(key, default))
    except ValueError as error:
        faults.append(Fault(where, key, f"is {data[key]!r}"[:80], str(error)))
        return default


def _list(data: dict[str, Any], name: str, where: str, faults: list[Fault]) -> list[dict[str, Any]]:
    """The tables of a list such as [[change]]; an absent [[arrivals]] is one phase of a minute."""
    given = data.get(name, [{}] if name == "arrivals" else [])
    if not isinstance(given, list):
        faults.append(Fault(where, name, "is not a list of tables", f"[[{name}]]"))
        return []
    return [
        read_table(name, entry, where, faults, rows=ROWS, label=f"{name}[{index}]") for index, entry in enumerate(given)
    ]


def _room(given: Any, where: str, faults: list[Fault]) -> Room:
    if isinstance(given, dict):
        heeded = (*_ROOM_KEYS, *_POLL_KEYS)
        others = [key for key in given if key not in heeded]
        faults += [Fault(where, f"room.{key}", "plays no part here", ", ".join(heeded)) for key in others]
        given = {key: value for key, value in given.items() if key in heeded}
    room = make_room(read_table("room", given, where, faults), where, "room", faults)
    if room.mode is Mode.OFF:
        faults.append(Fault(where, "room.mode", "is off", "auto, hold or closed: with off there is no line"))
    return room
