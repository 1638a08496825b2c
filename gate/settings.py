"""The configuration: every setting of `setting_table.py`, from wherever it was said.

`load` reads file, environment and command line (the later wins), finds every fault at once, and hands down plain
values; nobody else reads the environment. The kinds of values are `gate/values.py`'s.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gate.core.keyring import Algorithm
from gate.core.room import Bypass, Looks, Mode, PollRule, Room
from gate.fault import ConfigError, Fault
from gate.setting_table import TABLE, Setting
from gate.verifier_settings import read_verifier

# Part of the contract, built later: named so that the refusal can say so.
_LATER = {("room", "max_active")}


@dataclass(frozen=True, slots=True)
class Config:
    """All values, ready to be handed down. The tables map key to value."""

    server: Mapping[str, Any]
    origin: Mapping[str, Any]
    store: Mapping[str, Any]
    tokens: Mapping[str, Any]
    canary: Mapping[str, Any]
    rooms: tuple[Room, ...]
    admin_token: str

    def public_url(self, listen: tuple[str, int] | None = None) -> str:
        """Where visitors find this gate: as configured, else where it listens."""
        return str(self.server["public_url"]) or self.listen_url(listen)

    def listen_url(self, listen: tuple[str, int] | None = None) -> str:
        """The public listener itself, asked from this machine; `listen` is the address really had."""
        host, port = listen or self.server["listen"]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (to ask there, not to bind)
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self.server['tls_cert'] else 'http'}://{host}:{port}"

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
    data = read_file(path, faults)
    where = str(path) if path else "defaults"
    tables = {
        name: read_table(name, data.get(name, {}), where, faults, environ=environ, overrides=overrides)
        for name in ("server", "origin", "store", "tokens", "canary")
    }
    rooms = _rooms(data.get("room"), where, environ, overrides or {}, faults)
    _check_unknown_tables(data, where, faults)
    _check_together(tables, rooms, where, faults)
    if faults:
        raise ConfigError(faults)
    return Config(**tables, rooms=rooms, admin_token=environ.get("GATE_ADMIN_TOKEN", ""))


def read_file(path: Path | None, faults: list[Fault]) -> dict[str, Any]:
    """A TOML file's tables; where it cannot be read, none, and a fault."""
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        faults.append(Fault(str(path), "file", error.strerror or "cannot be read", "a readable TOML file"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(Fault(str(path), "file", f"is not TOML: {error}", "TOML 1.0 in UTF-8"))
    return {}


def read_table(
    name: str,
    given: Any,
    where: str,
    faults: list[Fault],
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[tuple[str, str], Any] | None = None,
    label: str = "",
    rows: tuple[Setting, ...] = TABLE,
) -> dict[str, Any]:
    """One table's values by key: as given, above it the environment, above that the command line, else defaults."""
    environ, overrides, label = environ or {}, overrides or {}, label or name
    if not isinstance(given, dict):
        faults.append(Fault(where, label, "is not a table", f"[{name}] with keys"))
        given = {}
    known = {row.key: row for row in rows if row.table == name}
    faults += [_unknown(where, name, label, key, list(known)) for key in given if key not in known]
    parsed = {}
    for key, row in known.items():
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
        # A store's URL may hold a password; a table is too long to repeat.
        hidden = isinstance(raw, dict) or row.table == "store"
        faults.append(Fault(source, f"{label}.{row.key}", "is not valid" if hidden else f"is {raw!r}"[:80], str(error)))
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
        parsed = read_table("room", entry, where, faults, environ=environ, overrides=overrides, label=label)
        room = make_room(parsed, where, label, faults)
        if room.name in found:
            twice = f"is {room.name!r} a second time"
            faults.append(Fault(where, f"{label}.name", twice, "a different name for each room"))
        twin = next((other for other in found.values() if _aims(other) == _aims(room)), None)
        if twin is not None and twin.name != room.name:
            same = f"are those of room {twin.name!r}"
            faults.append(Fault(where, f"{label}.paths", same, "hosts and paths of its own, or no request falls to it"))
        found[room.name] = room
    return tuple(found.values())


def make_room(parsed: dict[str, Any], where: str, label: str, faults: list[Fault]) -> Room:
    """The room of a table's values."""
    poll = PollRule(parsed.pop("poll_min"), parsed.pop("poll_max"), parsed.pop("poll_fraction"))
    if poll.minimum > poll.maximum:
        faults.append(Fault(where, f"{label}.poll_min", "is above poll_max", "at most poll_max"))
    looks = Looks(**{key: parsed.pop(key) for key in ("title", "message", "logo", "accent", "page")})
    bypass = tuple(Bypass(**rule) for rule in parsed.pop("bypass"))
    verifier = read_verifier(parsed, where, label, faults)
    parsed = {**parsed, "mode": Mode(parsed["mode"]), "verifier": verifier}
    return Room(**parsed, poll=poll, looks=looks, bypass=bypass)


def _aims(room: Room) -> tuple[frozenset[str], frozenset[str]]:
    """Which URLs a room names."""
    return frozenset(room.hosts), frozenset(room.paths)


def _unknown(where: str, table: str, label: str, key: str, known: list[str]) -> Fault:
    if (table, key) in _LATER:
        return Fault(where, f"{label}.{key}", "is not built yet", "leave it out for now")
    close = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {close[0]}?" if close else "one of " + ", ".join(sorted(known))
    return Fault(where, f"{label}.{key}", "is not a key", hint)


def _check_unknown_tables(data: Mapping[str, Any], where: str, faults: list[Fault]) -> None:
    known = ["server", "origin", "store", "tokens", "canary", "room"]
    for name in data.keys() - set(known):
        close = difflib.get_close_matches(name, known, 1)
        meant = "[[room]]" if close == ["room"] else f"[{close[0]}]" if close else ""
        allowed = f"did you mean {meant}?" if meant else "one of " + ", ".join(known)
        faults.append(Fault(where, name, "is not a table", allowed))


def _check_together(
    tables: Mapping[str, Mapping[str, Any]], rooms: tuple[Room, ...], where: str, faults: list[Fault]
) -> None:
    server, visited = tables["server"], tables["canary"]["room"]
    if visited and visited not in [room.name for room in rooms]:
        faults.append(Fault(where, "canary.room", f"is {visited!r}, which is no room", "a room's name, or empty"))
    if bool(server["tls_cert"]) != bool(server["tls_key"]):
        faults.append(Fault(where, "server.tls_cert", "comes without its twin", "tls_cert and tls_key together"))
    if server["listen"] == server["admin_listen"] and server["listen"][1] != 0:
        faults.append(Fault(where, "server.admin_listen", "is the public listener's", "an address of its own"))


@dataclass(frozen=True, slots=True)
class AdminAccess:
    """Where the commands find the admin API, and the token they show; `token` is empty where there is none."""

    url: str
    token: str
    state_dir: Path


def admin_access(*, url: str | None, state_dir: str | None, environ: Mapping[str, str] | None = None) -> AdminAccess:
    """What a command needs: as it was told, else from the environment, else this machine's own gate.

    `GATE_ADMIN_TOKEN` is the token; without it the file `admin-token` of the state directory is read.
    """
    environ = os.environ if environ is None else environ
    folder = Path(state_dir or environ.get("GATE_STATE_DIR", "./.gate"))
    token = environ.get("GATE_ADMIN_TOKEN", "")
    if not token:
        try:
            token = (folder / "admin-token").read_text(encoding="utf-8").strip()
        except OSError:
            token = ""
    return AdminAccess((url or environ.get("GATE_ADMIN_URL", "http://127.0.0.1:9090")).rstrip("/"), token, folder)


def warnings(config: Config) -> list[str]:
    """What is allowed but probably not meant."""
    silent = [] if config.origin["url"] else ["origin.url is not set; name the site with --origin or GATE_ORIGIN_URL"]
    return silent + [
        f"room {room.name}: its hosts need a cookie_domain, or a visitor admitted on one host waits again on another"
        for room in config.rooms
        if (len(room.hosts) > 1 or any(host.startswith("*.") for host in room.hosts)) and not room.cookie_domain
    ]
