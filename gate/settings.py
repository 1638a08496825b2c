"""Every setting in one table: TOML key, environment name, default, what is allowed, help.

`load` reads file, environment and command line (the later wins), finds every fault at once, and hands down plain
values; nobody else reads the environment. `docs/configuration.md` is written from this table and a test holds
them together. The kinds of values are `gate/values.py`'s.
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gate import values
from gate.core.keyring import Algorithm
from gate.core.room import Bypass, Looks, Mode, PollRule, Room


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: `parse` turns what was written into a value or raises ValueError with what is allowed."""

    table: str
    key: str
    parse: Callable[[Any], Any]
    default: Any
    help: str

    @property
    def env(self) -> str:
        """The environment variable's name."""
        short = {"server": "GATE_", "room": "GATE_ROOM_", "limits": "GATE_"}.get(self.table, f"GATE_{self.table.upper()}_")
        return _ENV_NAMES.get((self.table, self.key), short + self.key.upper())


_ENV_NAMES = {("store", "state_dir"): "GATE_STATE_DIR", ("tokens", "keys_file"): "GATE_KEYS_FILE"}
_seconds, _count, _choice = values.seconds, values.count, values.choice

TABLE: tuple[Setting, ...] = (
    Setting("server", "listen", values.listen, ("127.0.0.1", 8080), "Where visitors connect, HOST:PORT."),
    Setting("server", "admin_listen", values.listen, ("127.0.0.1", 9090), "Where operators connect, HOST:PORT."),
    Setting("server", "workers", _count(1, 1), 1, "Gate processes on the public listener (one, for now)."),
    Setting("server", "trusted_proxies", values.networks, (), "Networks whose X-Forwarded-For and -Proto are believed."),
    Setting("server", "public_scheme", _choice("http", "https", ""), "", "The scheme visitors use; found out if empty."),
    Setting("server", "tls_cert", values.file, "", "Certificate chain (PEM) for the public listener."),
    Setting("server", "tls_key", values.file, "", "Private key (PEM) for the public listener."),
    Setting("server", "header_timeout", _seconds(1, 120), 15.0, "Longest time for a request's head to arrive."),
    Setting("server", "keepalive_timeout", _seconds(1, 3600), 75.0, "How long an idle connection is kept."),
    Setting("server", "max_line_bytes", _count(256, 65_536), 8_190, "Longest request line."),
    Setting("server", "max_field_bytes", _count(256, 65_536), 8_190, "Longest single header field."),
    Setting("server", "max_headers", _count(8, 1_000), 128, "Most header fields of a request."),
    Setting("server", "drain_seconds", _seconds(0, 300), 2.0, "After SIGTERM, how long answers still go out on open connections."),
    Setting("origin", "url", values.url, "http://127.0.0.1:8001", "The site that is protected, http(s)://HOST[:PORT]."),
    Setting("origin", "pool", _count(1, 20_000), 512, "Most connections to the origin at a time."),
    Setting("origin", "idle_timeout", _seconds(0, 3600), 15.0, "How long an unused connection to the origin is kept."),
    Setting("origin", "connect_timeout", _seconds(0.1, 120), 5.0, "Longest time to connect to the origin."),
    Setting("origin", "first_byte_timeout", _seconds(0.1, 3600), 60.0, "Longest time to the first byte of an answer."),
    Setting("origin", "read_timeout", _seconds(0.1, 86_400), 120.0, "Longest silence within an answer."),
    Setting("origin", "verify", values.verify, True, "Check the origin's certificate: true, false or a CA file (PEM)."),
    Setting("store", "url", values.store_url, "", "redis://, rediss:// or unix:// of a store; empty: the embedded one."),
    Setting("store", "state_dir", str, "./.gate", "Where keys, the admin token and the embedded store live."),
    Setting("tokens", "algorithm", _choice("HS256", "EdDSA"), "HS256", "What signs passes."),
    Setting("tokens", "keys_file", str, "", "The key ring; empty: keys.json in the state directory."),
    Setting("tokens", "remembered", _count(1_000, 10_000_000), 100_000, "Verified tokens a gate remembers."),
    Setting("room", "name", values.room_name, "default", "The room's name: a to z, digits and -."),
    Setting("room", "hosts", values.hosts, (), "Hosts it protects (shop.example, *.shop.example); empty: all."),
    Setting("room", "paths", values.paths, (), "Paths it protects (/book and beneath, /book*); empty: all."),
    Setting("room", "release_rate", values.rate, 10.0, "Visitors let in: 500/s, 30/min, 0.5."),
    Setting("room", "burst", values.optional(values.number(0, 1e9)), None, "Unused release banked, in visitors; default one second of rate."),
    Setting("room", "mode", _choice("auto", "hold", "off", "closed"), "auto", "What the room does with its line."),
    Setting("room", "max_issued", values.optional(_count(1, 2**40)), None, "Most places dealt in one generation; default unlimited."),
    Setting("room", "ticket_life", _seconds(60, 30 * 86_400), 86_400.0, "How long a ticket lives; made anew past half."),
    Setting("room", "claim_within", _seconds(10, 86_400), 1_800.0, "How long a turn is kept once it has come."),
    Setting("room", "pass_life", _seconds(5, 86_400), 600.0, "How long a pass lives unless it is used."),
    Setting("room", "pass_cap", _seconds(5, 7 * 86_400), 3_600.0, "How long a visit may last at the most."),
    Setting("room", "pass_grace", _seconds(0, 86_400), 600.0, "How long an expired pass may still be made anew."),
    Setting("room", "lease", _seconds(1, 300), 10.0, "How long the pointer may be worked out while the store is silent."),
    Setting("room", "poll_min", _seconds(0.5, 300), 2.0, "Shortest time between a page's polls."),
    Setting("room", "poll_max", _seconds(1, 3600), 30.0, "Longest time between a page's polls."),
    Setting("room", "poll_fraction", values.number(0.001, 1), 0.1, "Fraction of the expected wait between polls."),
    Setting("room", "waiting_status", _choice(200, 202, 429, 503), 200, "Status of the waiting page."),
    Setting("room", "bypass", values.bypass, (), "Open rules: tables of paths, methods, networks."),
    Setting("room", "preflight", _choice("forward", "refuse"), "forward", "What is done with a CORS preflight."),
    Setting("room", "cors_origins", values.texts, (), "Origins whose scripts may read a refusal."),
    Setting("room", "cookie_domain", values.domain, "", "Domain of the cookies, for rooms over several hosts."),
    Setting("room", "same_site", _choice("lax", "strict", "none"), "lax", "SameSite of the cookies."),
    Setting("room", "websocket", _choice("cap", "pass", "keep"), "cap", "When a WebSocket ends: with the visit's cap, the pass, or never."),
    Setting("room", "cache", _choice("private", "origin"), "private", "Whose word on caching answers leave with."),
    Setting("room", "idle_per_network", _count(0, 1_000_000), 50, "Idle admissions for clients without cookies, a network; refilled 5/s."),
    Setting("room", "title", values.localized, {}, "The page's title; one text, or a table by language."),
    Setting("room", "message", values.localized, {}, "The site's message on the page; one text, or a table by language."),
    Setting("room", "logo", values.file, "", "Image file (svg, png, webp, jpg) shown on the page."),
    Setting("room", "accent", values.colour, "", "Colour of the page's accents, #RRGGBB."),
    Setting("room", "page", values.file, "", "HTML file that replaces the waiting page."),
)  # fmt: skip

# Part of the contract, built later: named so that the refusal can say so.
_LATER = {("room", "max_active"), ("room", "store_outage"), ("room", "bind")}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a configuration: where, which key, what is wrong, what is allowed."""

    where: str
    key: str
    wrong: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.wrong}; allowed: {self.allowed}"


class ConfigError(Exception):
    """A configuration that cannot be used, with all of its faults."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Config:
    """All values, ready to be handed down. `server`, `origin`, `store`, `tokens` map key to value."""

    server: Mapping[str, Any]
    origin: Mapping[str, Any]
    store: Mapping[str, Any]
    tokens: Mapping[str, Any]
    rooms: tuple[Room, ...]
    admin_token: str

    @property
    def state_dir(self) -> Path:
        """Where this gate keeps its own files."""
        return Path(self.store["state_dir"])

    @property
    def keys_file(self) -> Path:
        """The key ring's file."""
        return Path(self.tokens["keys_file"] or self.state_dir / "keys.json")

    @property
    def algorithm(self) -> Algorithm:
        """What signs passes."""
        return Algorithm(self.tokens["algorithm"])


def load(
    path: Path | None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[tuple[str, str], Any] | None = None,
) -> Config:
    """The configuration of a file, the environment and the command line, the later above the earlier.

    Args:
        path: a TOML file, or None.
        environ: environment variables; the process's own by default.
        overrides: (table, key) to what the command line said.

    Raises:
        ConfigError: with every fault found.
    """
    environ = os.environ if environ is None else environ
    faults: list[Fault] = []
    data = _read_file(path, faults)
    where = str(path) if path else "defaults"
    tables = {
        name: _table(name, data.get(name, {}), where, environ, overrides or {}, faults)
        for name in ("server", "origin", "store", "tokens")
    }
    rooms = _rooms(data.get("room"), where, environ, overrides or {}, faults)
    _check_unknown_tables(data, where, faults)
    _check_together(tables, where, faults)
    if faults:
        raise ConfigError(faults)
    return Config(**tables, rooms=rooms, admin_token=environ.get("GATE_ADMIN_TOKEN", ""))


def _read_file(path: Path | None, faults: list[Fault]) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        faults.append(Fault(str(path), "file", error.strerror or "cannot be read", "a readable TOML file"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(Fault(str(path), "file", f"is not TOML: {error}", "TOML 1.0 in UTF-8"))
    return {}


def _table(
    name: str,
    given: Any,
    where: str,
    environ: Mapping[str, str],
    overrides: Mapping[tuple[str, str], Any],
    faults: list[Fault],
    label: str = "",
) -> dict[str, Any]:
    """One table's values by key."""
    label = label or name
    if not isinstance(given, dict):
        faults.append(Fault(where, label, "is not a table", f"[{name}] with keys"))
        given = {}
    rows = {row.key: row for row in TABLE if row.table == name}
    for key in given.keys() - rows.keys():
        faults.append(_unknown(where, name, label, key, list(rows)))
    parsed = {}
    for key, row in rows.items():
        source, raw = where, given.get(key)
        if row.env in environ:
            source, raw = f"environment {row.env}", environ[row.env]
        if (name, key) in overrides:
            source, raw = "command line", overrides[name, key]
        parsed[key] = row.default if raw is None else _parse(row, raw, source, label, faults)
    return parsed


def _parse(row: Setting, raw: Any, source: str, label: str, faults: list[Fault]) -> Any:
    try:
        return row.parse(raw)
    except ValueError as error:
        shown = "is a table" if isinstance(raw, dict) else f"is {raw!r}"[:80]
        faults.append(Fault(source, f"{label}.{row.key}", shown, str(error)))
        return row.default


def _rooms(
    given: Any,
    where: str,
    environ: Mapping[str, str],
    overrides: Mapping[tuple[str, str], Any],
    faults: list[Fault],
) -> tuple[Room, ...]:
    entries = given if given is not None else [{}]
    if not isinstance(entries, list) or not entries:
        faults.append(Fault(where, "room", "is not a list of tables", "[[room]] once or more"))
        return ()
    found: dict[str, Room] = {}
    for index, entry in enumerate(entries):
        label = f"room[{index}]"
        parsed = _table("room", entry, where, environ, overrides, faults, label)
        room = _make_room(parsed, where, label, faults)
        if room.name in found:
            faults.append(Fault(where, f"{label}.name", f"is {room.name!r} a second time", "a different name for each room"))
        found[room.name] = room
    return tuple(found.values())


def _make_room(parsed: dict[str, Any], where: str, label: str, faults: list[Fault]) -> Room:
    poll = PollRule(parsed.pop("poll_min"), parsed.pop("poll_max"), parsed.pop("poll_fraction"))
    if poll.minimum > poll.maximum:
        faults.append(Fault(where, f"{label}.poll_min", "is above poll_max", "at most poll_max"))
    looks = Looks(**{key: parsed.pop(key) for key in ("title", "message", "logo", "accent", "page")})
    bypass = tuple(Bypass(**rule) for rule in parsed.pop("bypass"))
    return Room(**{**parsed, "mode": Mode(parsed["mode"])}, poll=poll, looks=looks, bypass=bypass)


def _unknown(where: str, table: str, label: str, key: str, known: list[str]) -> Fault:
    if (table, key) in _LATER:
        return Fault(where, f"{label}.{key}", "is not built yet", "leave it out for now")
    close = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {close[0]}?" if close else "one of " + ", ".join(sorted(known))
    return Fault(where, f"{label}.{key}", "is not a key", hint)


def _check_unknown_tables(data: Mapping[str, Any], where: str, faults: list[Fault]) -> None:
    known = ["server", "origin", "store", "tokens", "room"]
    for name in data.keys() - set(known):
        close = difflib.get_close_matches(name, known, 1)
        faults.append(
            Fault(where, name, "is not a table", f"did you mean [{close[0]}]?" if close else "one of " + ", ".join(known))
        )


def _check_together(tables: Mapping[str, Mapping[str, Any]], where: str, faults: list[Fault]) -> None:
    server = tables["server"]
    if bool(server["tls_cert"]) != bool(server["tls_key"]):
        faults.append(Fault(where, "server.tls_cert", "comes without its twin", "tls_cert and tls_key together"))
    if server["listen"] == server["admin_listen"] and server["listen"][1] != 0:
        faults.append(Fault(where, "server.admin_listen", "is the public listener's", "an address of its own"))


def warnings(config: Config) -> list[str]:
    """What is allowed but probably not meant."""
    return [
        f"room {room.name}: its hosts need a cookie_domain, or a visitor admitted on one host waits again on another"
        for room in config.rooms
        if (len(room.hosts) > 1 or any(host.startswith("*.") for host in room.hosts)) and not room.cookie_domain
    ]
