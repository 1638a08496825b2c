"""A room's configuration, as plain values, and which room and which open rule a reading of a URL falls to."""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from gate.core.verifier import Verifier

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Mode(StrEnum):
    """What a room does with its line."""

    OFF = "off"
    AUTO = "auto"
    HOLD = "hold"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Bypass:
    """One open rule: a request is forwarded without a pass when every part that is given matches."""

    paths: tuple[str, ...] = ()
    methods: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    def covers(self, path: str, method: str, client: Address | None, *, fold: bool) -> bool:
        """Whether this rule names the request; `fold` compares paths without regard to case."""
        if self.paths and not any(path_matches(pattern, path, fold=fold) for pattern in self.paths):
            return False
        if self.methods and method not in self.methods:
            return False
        return not self.networks or (client is not None and any(client in network for network in self.networks))


@dataclass(frozen=True, slots=True)
class PollRule:
    """How often a page asks for the pointer: seconds, and a fraction of its own expected wait."""

    minimum: float = 2.0
    maximum: float = 30.0
    fraction: float = 0.1


@dataclass(frozen=True, slots=True)
class Looks:
    """What a site may change of the waiting page without replacing it. Texts: language ("" is any) to text."""

    title: dict[str, str] = field(default_factory=dict)
    message: dict[str, str] = field(default_factory=dict)
    logo: str = ""
    accent: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """One protected thing with its own line, compared by identity. Durations in seconds, rates per second."""

    name: str = "default"
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    release_rate: float = 10.0
    burst: float | None = None
    mode: Mode = Mode.AUTO
    max_issued: int | None = None
    ticket_life: float = 86_400.0
    claim_within: float = 1_800.0
    pass_life: float = 600.0
    pass_cap: float = 3_600.0
    pass_grace: float = 600.0
    lease: float = 10.0
    store_outage: str = "hold"
    outage_open_for: float = 300.0
    poll: PollRule = PollRule()
    waiting_status: int = 200
    bypass: tuple[Bypass, ...] = ()
    preflight: str = "forward"
    cors_origins: tuple[str, ...] = ()
    cookie_domain: str = ""
    same_site: str = "lax"
    websocket: str = "cap"
    cache: str = "private"
    bind: str = "none"
    idle_per_network: int = 50
    joins_per_network: int = 5_000
    proof_of_work: int = 0
    verifier: Verifier | None = None
    looks: Looks = Looks()

    @property
    def guards_joins(self) -> bool:
        """Whether newcomers must show something before they get a number."""
        return self.proof_of_work > 0 or self.verifies("join")

    @property
    def guards_entry(self) -> bool:
        """Whether anything is asked of visitors on their way in, at whichever step: nobody comes in past it."""
        return self.proof_of_work > 0 or self.verifier is not None

    def verifies(self, step: str) -> bool:
        """Whether an outside verifier is asked at this step."""
        return self.verifier is not None and step in self.verifier.steps

    @property
    def hold_seconds(self) -> float:
        """How long a new era waits for old tickets to show: twice the longest poll near the front."""
        return 2 * self.poll.minimum * 1.2

    def bypasses(self, path: str, method: str, client: Address | None, *, fold: bool) -> bool:
        """Whether an open rule names this reading of the request."""
        return any(rule.covers(path, method, client, fold=fold) for rule in self.bypass)


def path_matches(pattern: str, path: str, *, fold: bool = False) -> bool:
    """`/book` names itself and all beneath it; `/book*` every path that begins so; `/` everything."""
    if fold:
        pattern, path = pattern.lower(), path.lower()
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    stem = pattern.rstrip("/")
    return path in (pattern, stem) or path.startswith(stem + "/")


def host_matches(pattern: str, host: str) -> bool:
    """`shop.example` names one host, `*.shop.example` every host beneath it; `host` is lower case, no port."""
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def find_room(rooms: tuple[Room, ...], host: str, path: str, *, fold: bool) -> Room | None:
    """The most specific room that names this URL: an exact host before a wildcard, then the longest path."""
    best: Room | None = None
    best_rank = (-1, -1)
    for room in rooms:
        rank = _rank(room, host, path, fold=fold)
        if rank is not None and rank > best_rank:
            best, best_rank = room, rank
    return best


def _rank(room: Room, host: str, path: str, *, fold: bool) -> tuple[int, int] | None:
    host_rank = 0
    if room.hosts:
        matches = [pattern for pattern in room.hosts if host_matches(pattern, host)]
        if not matches:
            return None
        host_rank = max(10_000 if not pattern.startswith("*.") else len(pattern) for pattern in matches)
    path_rank = 0
    if room.paths:
        lengths = [len(pattern) for pattern in room.paths if path_matches(pattern, path, fold=fold)]
        if not lengths:
            return None
        path_rank = max(lengths)
    return host_rank, path_rank
