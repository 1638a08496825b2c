"""The stores that sites run: a single server, a primary found by Sentinel, a Cluster; each with or without TLS.

Owns the reading of store URLs, and every limit of redis-py that matters: its defaults would retry an INCR-like script
ten times with back-off, so that an outage becomes seconds of held joins and burnt numbers. Nothing here retries,
but a Cluster once, since that is how it follows a slot that has moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

_PORT, _SENTINEL_PORT = 6379, 26_379
# One more than redis-py counts: following a moved slot is its second try.
_CLUSTER_TRIES = 1


@dataclass(frozen=True, slots=True)
class StoreTls:
    """Files (PEM) for `rediss`: the authority to trust, and what to show where the store asks; empty: the system's."""

    ca: str = ""
    cert: str = ""
    key: str = ""

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "StoreTls":
        """As the configuration's table `store` says."""
        return cls(table["ca"], table["cert"], table["key"])

    def options(self) -> dict[str, Any]:
        """As redis-py names them."""
        named = {"ssl_ca_certs": self.ca, "ssl_certfile": self.cert, "ssl_keyfile": self.key}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A store's URL, read. `service` is what Sentinels call the primary."""

    kind: str
    tls: bool
    nodes: tuple[tuple[str, int], ...]
    username: str | None
    password: str | None
    service: str
    database: int
    sentinel_auth: dict[str, str]


def read_address(url: str) -> StoreAddress:
    """Read a URL for Sentinel or Cluster.

    `redis+sentinel://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...]/SERVICE[/DB]`, whose query may hold `sentinel_username`
    and `sentinel_password`; `redis+cluster://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...]`; `rediss+…` for TLS.

    Raises:
        ValueError: it is not one; the text says what is allowed, and repeats nothing.
    """
    parts = urlsplit(url)
    secure, _, kind = parts.scheme.partition("+")
    account, _, places = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    port = _SENTINEL_PORT if kind == "sentinel" else _PORT
    nodes = tuple(_node(place, port) for place in places.split(",") if place)
    service, _, database = parts.path.strip("/").partition("/")
    if kind == "cluster":
        service, database = "", service
    if not nodes or (kind == "sentinel") != bool(service) or not (database or "0").isdecimal():
        raise ValueError("redis+sentinel://HOST:PORT,.../SERVICE or redis+cluster://HOST:PORT,...")
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    auth = {name: asked[f"sentinel_{name}"] for name in ("username", "password") if f"sentinel_{name}" in asked}
    return StoreAddress(
        kind=kind,
        tls=secure == "rediss",
        nodes=nodes,
        username=unquote(user) or None,
        password=unquote(password) or None,
        service=service,
        database=int(database or 0),
        sentinel_auth=auth,
    )


def urls_to_inspect(url: str) -> list[str]:
    """A URL for each server that can be asked how it is: of a Cluster the nodes it names, else the store itself."""
    if "+cluster" not in url.partition("://")[0]:
        return [url]
    address, account = read_address(url), url.partition("://")[2].rpartition("@")[0]
    scheme, before = "rediss" if address.tls else "redis", f"{account}@" if account else ""
    hosts = [f"[{host}]" if ":" in host else host for host, _ in address.nodes]
    return [f"{scheme}://{before}{host}:{port}" for host, (_, port) in zip(hosts, address.nodes, strict=True)]


def connect(url: str, *, tls: StoreTls, timeout_seconds: float, pool_size: int) -> Redis | RedisCluster:
    """A client for this store; nothing is sent yet."""
    limits: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry_on_error": [],
        "max_connections": pool_size,
        "protocol": 2,
    }
    never = Retry(NoBackoff(), 0)
    scheme = url.partition("://")[0]
    if "+" not in scheme:
        secure = tls.options() if scheme == "rediss" else {}
        return Redis.from_pool(ConnectionPool.from_url(url, retry=never, **limits, **secure))
    address = read_address(url)
    limits |= {"username": address.username, "password": address.password}
    if address.tls:
        limits |= {"ssl": True, **tls.options()}
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.nodes]
        retry = Retry(NoBackoff(), _CLUSTER_TRIES)
        return RedisCluster(startup_nodes=nodes, require_full_coverage=False, retry=retry, **limits)
    asking = {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds, "retry": never}
    asking |= address.sentinel_auth | ({"ssl": True, **tls.options()} if address.tls else {})
    sentinel = Sentinel(address.nodes, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    primary: Redis = sentinel.master_for(address.service, db=address.database, retry=never, **limits)
    return primary


async def close(client: Redis | RedisCluster) -> None:
    """Close all connections, those to Sentinels too, which redis-py leaves open."""
    await client.aclose()
    pool = getattr(client, "connection_pool", None)
    if isinstance(pool, SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def _node(place: str, port: int) -> tuple[str, int]:
    """HOST, HOST:PORT or [IPv6]:PORT."""
    split = urlsplit(f"//{place}")
    if not split.hostname:
        raise ValueError("a host and a port for each node")
    return split.hostname, split.port or port
