"""The gate as a tree of processes: a supervisor with the admin listener and the embedded store, and its workers.

The supervisor owns the listening sockets, one a worker (`SO_REUSEPORT`), and the memory that workers count in. So
a worker that dies takes no count and no waiting connection with it: its successor finds both. SIGHUP reads the
configuration anew and replaces workers one by one, each only when its successor serves; SIGTERM says `not ready`,
lets workers say goodbye, and ends. Nothing here is on a request's way.
"""

import asyncio
import contextlib
import logging
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gate.admin.trends import Trends
from gate.app import Doors, Gate
from gate.control import Fleet
from gate.core.meter import Reading
from gate.core.readiness import Readiness
from gate.crew import LOOK_SECONDS, Crew
from gate.loop import cancelled, every, new_event_loop
from gate.parts import Known, Parts
from gate.settings import Config
from gate.sockets import address, bind_alone, place_of, tls_context
from gate.store.embedded import EmbeddedStore, start_embedded

log = logging.getLogger("gate.supervisor")
_STORE_REST_SECONDS = 0.5
# What cannot change without a new start: whoever changes it is told.
_FIXED = (("server", "listen"), ("server", "admin_listen"), ("store", "url"), ("store", "state_dir"))


def serve(config: Config, reload: Callable[[], Config], *, level: int = logging.INFO) -> None:
    """Run a gate until SIGINT or SIGTERM. Call it from the main thread.

    Args:
        config: the configuration to begin with.
        reload: reads the configuration anew, for SIGHUP; raises ConfigError.
        level: of the logs, in workers too.

    Raises:
        EmbeddedStoreError: no store was named and none can be run.
        KeyFileError: the key ring cannot be used.
        OSError: an address cannot be had, or a certificate not be used.
    """
    _take_all_descriptors()
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    tls_context(config.server["tls_cert"], config.server["tls_key"])
    doors = Doors([bind_alone(config.server["listen"])], bind_alone(config.server["admin_listen"]))
    embedded = None if config.store["url"] else start_embedded(config.state_dir)
    try:
        supervisor = _Supervisor(config, reload, doors, embedded, level)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(supervisor.run())
    finally:
        if embedded:
            embedded.stop()


class _Supervisor:
    def __init__(
        self, config: Config, reload: Callable[[], Config], doors: Doors, embedded: EmbeddedStore | None, level: int
    ) -> None:
        self._given = config
        self._doors = doors
        self._config = self._settled(config)
        self._reload = reload
        self._embedded = embedded
        self._store_url = embedded.url if embedded else config.store["url"]
        self._crew = Crew(list(doors.public), self._store_url, level, lambda: self._known)
        self._parts: Parts | None = None
        self._office: contextlib.AsyncExitStack | None = None
        self._offices: list[Callable[[], Reading]] = []
        self._trends = Trends()
        self._stopping = False

    async def run(self) -> None:
        """Everything, until it is told to end."""
        loop, told = asyncio.get_running_loop(), asyncio.Queue[int]()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, told.put_nowait, number)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._close_office)
            self._office = await self._open_office(self._config)
            stack.push_async_callback(self._crew.stop)
            if self._embedded is not None:
                stack.push_async_callback(cancelled, asyncio.ensure_future(_keep_alive(self._embedded)))
            await self._crew.start(self._config, _workers(self._config))
            stack.push_async_callback(cancelled, asyncio.ensure_future(every(LOOK_SECONDS, self._crew.look)))
            self._say_ready()
            await self._obey(told)
            log.info("stopping")
            self._stopping = True
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)  # a second signal ends at once

    async def _obey(self, told: "asyncio.Queue[int]") -> None:
        """Reload for each SIGHUP (several at once are one) until another signal comes, which waits for nothing."""
        reloading: asyncio.Task[None] | None = None
        again = False
        while True:
            hearing = asyncio.ensure_future(told.get())
            waited: list[asyncio.Future[Any]] = [hearing, *([reloading] if reloading else [])]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if reloading is not None and reloading.done():
                reloading = None
            if not hearing.done():
                hearing.cancel()
            elif hearing.result() != signal.SIGHUP:
                break
            else:
                again = True
            if again and reloading is None:
                again, reloading = False, asyncio.ensure_future(self._take_anew())
        if reloading is not None:
            await cancelled(reloading)

    async def _take_anew(self) -> None:
        """SIGHUP: the configuration, keys and certificates as they are now; what is wrong changes nothing."""
        office = None
        try:
            given = self._reload()
            config = self._settled(given)
            tls_context(config.server["tls_cert"], config.server["tls_key"])
            office = await self._open_office(config)
            await self._crew.replace(config, _workers(config))
        except BaseException as error:
            if office is not None:
                await office.aclose()
            if not isinstance(error, Exception):
                raise
            log.error("reload refused", extra={"cause": str(error) or type(error).__name__})  # noqa: TRY400
            return
        for table, key in _FIXED:
            if getattr(given, table)[key] != getattr(self._given, table)[key]:
                log.warning("reload", extra={"key": f"{table}.{key}", "cause": "changes only with a new start"})
        self._config = config
        before, self._office = self._office, office
        if before is not None:
            await before.aclose()
        log.info("reloaded", extra={"rooms": [room.name for room in config.rooms]})

    async def _open_office(self, config: Config) -> contextlib.AsyncExitStack:
        """The admin side for a configuration, serving; whatever counted before is counted on."""
        gate = Gate(config, self._store_url)
        gate.parts.begin(self._known)
        self._offices.append(gate.parts.meter.read)
        meters = [*self._offices, self._crew.read]
        fleet = Fleet(meters, lambda: self._readiness(gate), self._crew.counts, self._trends)
        admin = self._doors.admin
        assert admin is not None  # noqa: S101  (bound before anything else)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(gate.running(Doors(admin=admin.dup()), fleet))
            self._parts = gate.parts
            return stack.pop_all()

    async def _close_office(self) -> None:
        if self._office is not None:
            await self._office.aclose()

    @property
    def _known(self) -> Known:
        """What the office knows, for processes that start while the store may be away."""
        return self._parts.known() if self._parts else Known((), 0.0)

    def _readiness(self, gate: Gate) -> Readiness:
        serves = not self._stopping and self._crew.counts()[0] > 0
        return gate.parts.readiness() if serves else Readiness.NOT_READY

    def _settled(self, config: Config) -> Config:
        """The configuration with all that cannot change as it was at the start, and the addresses really had."""
        assert self._doors.admin is not None  # noqa: S101  (bound before anything else)
        fixed: dict[tuple[str, str], Any] = {(table, key): getattr(self._given, table)[key] for table, key in _FIXED}
        fixed["server", "listen"] = place_of(self._doors.public[0])
        fixed["server", "admin_listen"] = place_of(self._doors.admin)
        server = {**config.server, **{key: value for (table, key), value in fixed.items() if table == "server"}}
        store = {**config.store, **{key: value for (table, key), value in fixed.items() if table == "store"}}
        return replace(config, server=server, store=store)

    def _say_ready(self) -> None:
        server, admin = self._config.server, self._doors.admin
        log.info(
            "ready",
            extra={
                "public": f"{'https' if server['tls_cert'] else 'http'}://{address(place_of(self._doors.public[0]))}",
                "admin": f"http://{address(place_of(admin))}" if admin else "",
                "origin": self._config.origin["url"],
                "workers": self._crew.counts()[0],
            },
        )


async def _keep_alive(embedded: EmbeddedStore) -> None:
    """Start the embedded store again when it dies; on this thread, to which its life is tied."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if embedded.revive():
            log.warning("store died", extra={"cause": "started again"})
            await asyncio.sleep(_STORE_REST_SECONDS)


def _workers(config: Config) -> int:
    return config.server["workers"] or os.cpu_count() or 1


def _take_all_descriptors() -> None:
    """As many connections as the system allows; workers inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
