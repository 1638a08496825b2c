"""The surge for Locust: `locust -f loadtests/surge/locustfile.py --host http://127.0.0.1:8080`, headless or not.

One process, or a master and its workers (`--processes 2`), each with its part of the visitors: on one machine, whose
clock and folder they share; `SURGE_PARTS` says how many workers there are. `make surge` starts this with everything
around it; without it, `SURGE_VISITORS` says how many come, and `SURGE_ROOM` to which room.
"""

import json
import os
import time
from pathlib import Path

import gevent
from geventhttpclient.client import HTTPClientPool
from locust import FastHttpUser, LoadTestShape, events, task
from locust.runners import MasterRunner, WorkerRunner

from loadtests.surge.answers import Answers, Kind, Step
from loadtests.surge.asking import Asking
from loadtests.surge.crowd import Crowd
from loadtests.surge.kinds.api import Api
from loadtests.surge.kinds.bot import Bot
from loadtests.surge.kinds.forger import Forger
from loadtests.surge.kinds.impatient import Impatient
from loadtests.surge.kinds.no_show import NoShow
from loadtests.surge.kinds.patient import Patient
from loadtests.surge.plan import Plan

KINDS = {
    Kind.PATIENT: Patient,
    Kind.IMPATIENT: Impatient,
    Kind.NO_SHOW: NoShow,
    Kind.API: Api,
    Kind.FORGER: Forger,
    Kind.BOT: Bot,
}
FOLDER = Path(os.environ.get("SURGE_FOLDER", "."))
PARTS = int(os.environ.get("SURGE_PARTS", "1"))
USERS_A_PART = 100
DONE = "surge-part-done"


def plan() -> Plan:
    """The one in the folder, else the usual one."""
    path = FOLDER / "plan.json"
    return Plan.read(path) if path.exists() else Plan.of(int(os.environ.get("SURGE_VISITORS", "5000")))


class Acting(FastHttpUser):
    """One of those who act for whoever is due."""

    client_pool = HTTPClientPool(concurrency=USERS_A_PART, network_timeout=30.0, connection_timeout=10.0)
    crowd: Crowd
    answers: Answers

    def on_start(self) -> None:
        """Every kind's steps, over this user's session."""
        asking = Asking(self.client_pool.get_client(self.host), self.answers, self.environment.events.request)
        self._kinds = {kind: steps(asking, self.crowd) for kind, steps in KINDS.items()}

    @task
    def act(self) -> None:
        """The next step of the next visitor."""
        visitor = self.crowd.next()
        try:
            getattr(self._kinds[visitor.kind], visitor.step)(visitor)
        except Exception:
            self.crowd.broken = True  # a fault of this program: the run ends, and all who are under way are lost
            raise


class Surge(LoadTestShape):
    """As many actors as the parts need, until all parts are done or the time is up."""

    parts_done = 0

    def tick(self) -> tuple[int, float] | None:
        """Called by Locust about once a second."""
        if self.parts_done >= PARTS or self.get_run_time() > plan().limit_seconds:
            return None
        return USERS_A_PART * PARTS, 10_000.0


@events.init.add_listener
def on_init(environment, **_more: object) -> None:
    """The master counts the parts that are done."""

    def done(**_message: object) -> None:
        environment.shape_class.parts_done += 1

    environment.part_done = done
    if isinstance(environment.runner, MasterRunner):
        environment.runner.register_message(DONE, done)


@events.test_start.add_listener
def on_start(environment, **_more: object) -> None:
    """Each worker brings its part of the crowd; the first moment is the same for all, to some milliseconds."""
    runner = environment.runner
    environment.shape_class.parts_done = 0  # a second start in the web UI is a new one
    if isinstance(runner, MasterRunner):
        return
    part = runner.worker_index if isinstance(runner, WorkerRunner) else 0
    Acting.crowd = Crowd(plan().arrivals, part, PARTS)
    Acting.answers = Answers(FOLDER, part)
    (FOLDER / f"start-{part}.json").write_text(json.dumps({"start": time.monotonic()}))
    gevent.spawn(_run, environment, part)


def _run(environment, part: int) -> None:
    Acting.crowd.run()
    _finish(part)
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.send_message(DONE, part)
    else:
        environment.part_done()


@events.quitting.add_listener
def on_quitting(environment, **_more: object) -> None:
    """Whoever is not done by then is lost, and that is written down."""
    if isinstance(environment.runner, MasterRunner) or not hasattr(Acting, "answers"):
        return
    for visitor in Acting.crowd.unfinished.values():
        place = (visitor.place.era, visitor.place.position) if visitor.place else (0, 0)
        now = time.monotonic()
        Acting.answers.add(now, now, visitor.number, place, 0, visitor.kind, Step.LOST, False)
    Acting.answers.flush()


def _finish(part: int) -> None:
    Acting.answers.flush()
    crowd = Acting.crowd
    late = {"latest": crowd.latest, "newcomers": crowd.newcomers}
    (FOLDER / f"end-{part}.json").write_text(json.dumps({"end": time.monotonic(), **late}))
