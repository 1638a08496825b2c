"""The last quarter of an hour of each room, one sample a second: what the dashboard draws and rates are read from.

Pure arithmetic on what it is handed; kept in this process's memory, bounded. A sample's rates are over the last
ten seconds, so that they hold still enough to be read.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from gate.core.line import Line
from gate.core.meter import Count, Histogram, Reading, Timing

SAMPLES_MAX = 900
_WINDOW_SECONDS = 10.0
_WINDOW_SAMPLES = 11
_MILLISECONDS = 1_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One room at one moment. Rates are visitors a second, `wanted` is what the room should release now."""

    time: float
    waiting: int
    issued: int
    served: int
    claimed: int
    active: int
    joins: float
    claims: float
    measured: float
    wanted: float


@dataclass(frozen=True, slots=True)
class Service:
    """The origin and the store at one moment, over the last ten seconds. Times in milliseconds, null where unknown."""

    time: float
    origin_p50: float | None
    origin_p95: float | None
    origin_rate: float
    origin_errors: float
    overhead_p95: float | None
    store_p95: float | None
    store_errors: float


class Trends:
    """Samples of all rooms."""

    def __init__(self) -> None:
        self._rooms: dict[str, deque[Sample]] = {}
        self._generations: dict[str, int] = {}
        self._services: deque[Service] = deque(maxlen=SAMPLES_MAX)
        self._readings: deque[tuple[float, Reading]] = deque(maxlen=_WINDOW_SAMPLES)

    def samples(self, room: str) -> Iterable[Sample]:
        """A room's samples, oldest first."""
        return tuple(self._rooms.get(room, ()))

    def services(self) -> Iterable[Service]:
        """How origin and store did, oldest first."""
        return tuple(self._services)

    def last(self, room: str) -> Sample | None:
        """A room's newest sample."""
        samples = self._rooms.get(room)
        return samples[-1] if samples else None

    def take(self, line: Line, active: int, now: float) -> Sample:
        """One more sample of a room; a new generation begins its rates anew. `now` in Unix seconds."""
        samples = self._rooms.get(line.room)
        if samples is None or self._generations[line.room] != line.generation:
            samples = self._rooms[line.room] = deque(_from_history(line), maxlen=SAMPLES_MAX)
            self._generations[line.room] = line.generation
        served, issued = line.let_in, line.visitors
        past = _before(samples, now - _WINDOW_SECONDS)
        seconds = max(now - past.time, 1.0) if past else 1.0

        def rate(new: int, old: int | None) -> float:
            return round(max(new - old, 0) / seconds, 3) if old is not None else 0.0

        sample = Sample(
            time=round(now, 3),
            waiting=line.waiting,
            issued=issued,
            served=served,
            claimed=line.claimed,
            active=active,
            joins=rate(issued, past.issued if past else None),
            claims=rate(line.claimed, past.claimed if past else None),
            measured=rate(served, past.served if past else None),
            wanted=line.release_rate if line.releases else 0.0,
        )
        samples.append(sample)
        return sample

    def serve(self, reading: Reading, now: float) -> Service:
        """How origin and store did lately, from the counts of all processes."""
        self._readings.append((now, reading))
        began, old = self._readings[0]
        seconds = max(now - began, 1.0)
        origin = _since(reading, old, Timing.ORIGIN_FIRST_BYTE)
        store = [
            reading.timings[series] - old.timings[series]
            for series in reading.timings
            if series[0] == Timing.STORE_CALL and series in old.timings
        ]
        stores = [found for histogram in store if (found := histogram.quantile(0.95)) is not None]

        def errors(family: Count) -> float:
            return round(max(reading.sum_of(family) - old.sum_of(family), 0) / seconds, 3)

        service = Service(
            time=round(now, 3),
            origin_p50=_ms(origin.quantile(0.5)),
            origin_p95=_ms(origin.quantile(0.95)),
            origin_rate=round(max(origin.count, 0) / seconds, 2),
            origin_errors=errors(Count.ORIGIN_ERRORS),
            overhead_p95=_ms(_since(reading, old, Timing.OVERHEAD).quantile(0.95)),
            store_p95=_ms(max(stores, default=None)),
            store_errors=errors(Count.STORE_ERRORS),
        )
        self._services.append(service)
        return service


def _since(reading: Reading, old: Reading, family: Timing) -> Histogram:
    series = (family.value, "", "")
    return reading.timings[series] - old.timings[series]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * _MILLISECONDS, 2)


def _before(samples: "deque[Sample]", time: float) -> Sample | None:
    """The newest sample not younger than this, or the oldest there is."""
    for sample in reversed(samples):
        if sample.time <= time:
            return sample
    return samples[0] if samples else None


def _from_history(line: Line) -> Iterable[Sample]:
    """What the store remembers of the era being served, so that a restart does not begin with empty charts."""
    for row in line.history:
        if row.era == row.newest == line.newest.number and row.time > line.time - SAMPLES_MAX:
            issued, served = line.dealt_before + row.issued, line.dealt_before + row.now_serving
            yield Sample(float(row.time), issued - served, issued, served, line.claimed, 0, 0.0, 0.0, 0.0, 0.0)
