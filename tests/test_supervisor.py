"""Processes: workers share one address, die and are replaced, are exchanged without a gap, and go in good order."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import ssl
import subprocess
import sys

import aiohttp
import pytest
import trustme

from tests.harness import PAGE
from tests.processes import TOKEN, gate_tree

BEARER = {"Authorization": f"Bearer {TOKEN}"}
TWO = "[server]\nworkers = 2\n"
OFF = '[[room]]\nname = "sale"\nmode = "off"\n'


# One for each lane, and one that only the ordinary way takes.
ASKED = [
    b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /_gate/now/sale HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /_gate/join/sale HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n",
]


class Load:
    """Clients that ask without pause over connections they keep, and count every answer and every failure."""

    def __init__(self, url, clients=8):
        self.url, self.clients = url, clients
        self.answered, self.failed, self.statuses = 0, [], set()

    async def __aenter__(self):
        self._tasks = [asyncio.ensure_future(self._client()) for _ in range(self.clients)]
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _client(self):
        reader = writer = None
        host, port = self.url.removeprefix("http://").split(":")
        for data in itertools.cycle(ASKED):
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(data)
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.split(b":")[1]))
                self.answered += 1
                self.statuses.add(int(head.split()[1]))
                if b"connection: close" in head.lower():
                    writer.close()
                    writer = None
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failed.append(repr(error))
                writer.close()
                writer = None
            except asyncio.CancelledError:
                if writer is not None:
                    writer.close()
                raise


async def get(url, **options):
    """Status and body."""
    async with aiohttp.ClientSession() as session, session.get(url, **options) as answer:
        return answer.status, await answer.read()


@pytest.fixture
async def tree(tmp_path, origin):
    """Two workers, everybody passes."""
    async with gate_tree(tmp_path / "gate", origin.url, TWO + OFF) as tree:
        yield tree


async def test_a_reload_loses_no_request(tree):
    """SIGHUP under load, twice: every answer whole, no connection refused or cut; the new configuration is in force."""
    before = set(tree.workers())
    async with Load(tree.url) as load:
        await asyncio.sleep(0.5)
        (tree.folder / "gate.toml").write_text(TWO + OFF + 'message = "fresh"\n[[room]]\nname = "rest"\npaths = ["/rest"]\n')
        tree.tell(signal.SIGHUP)
        await tree.until("reloaded", 1)
        tree.tell(signal.SIGHUP)
        await tree.until("reloaded", 2)
        await asyncio.sleep(0.5)
    assert load.failed == []
    assert load.statuses == {200, 202}
    assert load.answered > 100
    assert not before & set(tree.workers())
    rooms = json.loads((await get(f"{tree.admin}/api/rooms", headers=BEARER))[1])["rooms"]
    assert [room["room"] for room in rooms] == ["sale", "rest"]


async def test_a_faulty_configuration_changes_nothing(tree):
    """SIGHUP with a file that is wrong: told with file, key and what is allowed; the workers stay."""
    before = tree.workers()
    (tree.folder / "gate.toml").write_text('[[room]]\nrelease_rate = "fast"\n')
    tree.tell(signal.SIGHUP)
    told = await tree.until("reload refused")
    assert "release_rate" in told["cause"]
    assert tree.workers() == before
    assert (await get(tree.url + "/x"))[0] == 200


async def test_a_new_certificate_is_taken_on_reload(tmp_path, origin):
    """SIGHUP after the files were exchanged: the next connection sees the new one."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    def issue():
        leaf = authority.issue_cert("localhost")
        leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
        leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")

    async def serial(url):
        trusts = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        port = int(url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusts, server_hostname="localhost")
        try:
            return writer.get_extra_info("peercert")["serialNumber"]
        finally:
            writer.close()

    issue()
    files = f'tls_cert = "{tmp_path}/cert.pem"\ntls_key = "{tmp_path}/key.pem"\n'
    async with gate_tree(tmp_path / "gate", origin.url, "[server]\n" + files + OFF) as tree:
        before = await serial(tree.url)
        issue()
        assert await serial(tree.url) == before
        tree.tell(signal.SIGHUP)
        await tree.until("reloaded")
        assert await serial(tree.url) != before


async def test_workers_may_become_more_or_fewer(tree):
    """One, then three, under load: no request lost, also for the socket whose worker went."""
    async with Load(tree.url) as load:
        for number, workers in ((1, 1), (2, 3)):
            (tree.folder / "gate.toml").write_text(f"[server]\nworkers = {workers}\n" + OFF)
            tree.tell(signal.SIGHUP)
            await tree.until("reloaded", number)
        await asyncio.sleep(0.3)
    assert load.failed == []


async def test_a_dead_worker_is_replaced_and_the_other_is_untouched(tree):
    """kill -9 under load: at most its own requests fail, its successor serves soon, the other stays."""
    victim, other = tree.workers()
    async with Load(tree.url) as load:
        await asyncio.sleep(0.5)
        os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(10):
            while len(alive := tree.workers()) < 2 or victim in alive or (await _workers(tree))["serving"] < 2:
                await asyncio.sleep(0.05)
    assert len(load.failed) <= load.clients
    assert other in tree.workers()
    assert (await tree.until("worker died"))["status"] == -signal.SIGKILL
    assert await _workers(tree) == {"serving": 2, "wanted": 2, "restarts": 1}


async def _workers(tree):
    """What the gate says of its workers."""
    return json.loads((await get(f"{tree.admin}/api/gate", headers=BEARER))[1])["workers"]


async def test_counts_of_all_workers_add_up_to_what_clients_saw(tree, origin):
    """`/metrics` with two workers, across a worker's death and a reload, against the clients' own count."""
    sent = 0

    async def ask(count):
        nonlocal sent
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            for _ in range(count):
                async with session.get(f"{tree.url}/x", headers=PAGE) as answer:
                    assert answer.status == 200
                async with session.get(f"{tree.url}/_gate/now/sale") as answer:
                    assert answer.status == 200
                sent += 1

    await ask(60)
    os.kill(tree.workers()[0], signal.SIGKILL)
    await tree.until("worker died")
    async with asyncio.timeout(10):
        while len(tree.workers()) < 2:
            await asyncio.sleep(0.05)
    await ask(40)
    tree.tell(signal.SIGHUP)
    await tree.until("reloaded")
    await ask(20)
    text = (await get(f"{tree.admin}/metrics", headers=BEARER))[1].decode()
    numbers = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(numbers['gate_decisions_total{reason="open",room="sale"}']) == sent == len(origin.seen)
    assert float(numbers['gate_polls_total{room="sale"}']) == sent
    assert float(numbers["gate_origin_first_byte_seconds_count"]) == sent
    assert float(numbers["gate_worker_restarts_total"]) == 1


async def test_the_whole_gate_goes_in_good_order(tmp_path, origin):
    """SIGTERM under load: not ready, then `Connection: close`, what is under way is finished; nothing stays behind."""
    slow = asyncio.Event()

    @origin.on("/slow")
    async def _(_request):
        slow.set()
        await asyncio.sleep(1.0)
        from aiohttp import web

        return web.Response(text="whole")

    async with gate_tree(tmp_path / "gate", origin.url, OFF, GATE_WORKERS="2", GATE_DRAIN_SECONDS="1.0") as tree:
        workers = tree.workers()
        pending = asyncio.ensure_future(get(tree.url + "/slow"))
        await slow.wait()
        async with Load(tree.url) as load:
            await asyncio.sleep(0.3)
            tree.tell(signal.SIGTERM)
            await tree.until("stopping")
            await asyncio.sleep(0.1)
            assert (await get(f"{tree.url}/_gate/readyz"))[0] == 503
            assert (await get(f"{tree.admin}/readyz"))[0] == 503
            async with aiohttp.ClientSession() as session, session.get(tree.url + "/x") as answer:
                assert "Connection" not in answer.headers, "readiness first"
            await asyncio.sleep(0.5)
            async with aiohttp.ClientSession() as session, session.get(tree.url + "/x") as answer:
                assert answer.headers["Connection"] == "close"
        assert load.failed == []
        assert await pending == (200, b"whole")
        await asyncio.to_thread(tree.process.wait, 20)
        assert tree.process.returncode == 0
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, 0)
            raise AssertionError("a worker stayed")


async def test_workers_do_not_outlive_their_supervisor(tmp_path, origin):
    """kill -9 of the supervisor: its workers go by themselves."""
    async with gate_tree(tmp_path / "gate", origin.url, OFF, GATE_WORKERS="2") as tree:
        workers = tree.workers()
        tree.tell(signal.SIGKILL)
        async with asyncio.timeout(10):
            while any(_lives(worker) for worker in workers):
                await asyncio.sleep(0.05)


def _lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split()[2] != "Z"
    except OSError:
        return False


async def test_an_address_that_is_taken_is_told(tmp_path, origin):
    """Exit 2 and one line, although workers could share it."""
    async with gate_tree(tmp_path / "gate", origin.url, OFF) as tree:
        place = tree.url.removeprefix("http://")
        command = [sys.executable, "-m", "gate", "serve", "--origin", origin.url, "--listen", place]
        command += ["--admin", "127.0.0.1:0", "--state-dir", str(tmp_path / "other")]
        said = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
        assert said.returncode == 2
        assert "cannot listen: Address already in use" in said.stderr


async def test_whatever_is_wrong_with_a_reload_changes_nothing(tree):
    """A key file that is none, a certificate that is not there: told, and the gate serves on as it was."""
    before, keys = tree.workers(), tree.folder / "state" / "keys.json"
    good = keys.read_bytes()
    keys.write_text("{broken")
    tree.tell(signal.SIGHUP)
    told = await tree.until("reload refused")
    assert "not a key ring" in told["cause"]
    keys.write_bytes(good)
    (tree.folder / "gate.toml").write_text(TWO + 'tls_cert = "nowhere.pem"\n' + OFF)
    tree.tell(signal.SIGHUP)
    await tree.until("reload refused", 2)
    assert tree.workers() == before
    assert (await get(tree.url + "/x"))[0] == 200
    assert (await get(f"{tree.admin}/readyz"))[0] == 200


async def test_what_needs_a_new_start_is_told_and_left(tree):
    """Another store in the file: said in the log, and not taken."""
    (tree.folder / "gate.toml").write_text(TWO + '[store]\nurl = "redis://127.0.0.1:1"\n' + OFF)
    tree.tell(signal.SIGHUP)
    await tree.until("reloaded")
    assert any(line.get("key") == "store.url" for line in tree.log)
    assert (await get(tree.url + "/x"))[0] == 200
    assert (await get(f"{tree.admin}/readyz"))[0] == 200


async def test_the_end_does_not_wait_for_reloads(tree):
    """Ten SIGHUPs and a SIGTERM: gone within seconds, an answer under way finished."""
    for _ in range(10):
        tree.tell(signal.SIGHUP)
    await asyncio.sleep(0.3)
    tree.tell(signal.SIGTERM)
    async with asyncio.timeout(8):
        await asyncio.to_thread(tree.process.wait, 20)
    assert tree.process.returncode == 0


async def test_workers_that_cannot_be_had_are_had_when_they_can(tree):
    """No descriptor left when a worker dies: told, tried again, and whole again once there are some."""
    import resource

    pid = tree.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, hard))
    os.kill(tree.workers()[0], signal.SIGKILL)
    await tree.until("worker did not start")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    async with asyncio.timeout(10):
        while len(tree.workers()) < 2:
            await asyncio.sleep(0.1)
    assert (await get(tree.url + "/x"))[0] == 200


async def test_nothing_is_imported_from_where_it_was_started(tmp_path, origin, monkeypatch):
    """A `secrets.py` in the current directory is somebody else's."""
    (tmp_path / "secrets.py").write_text("raise SystemExit('hijacked')\n")
    command = "import sys; sys.path[0] = sys.argv.pop(1); from gate.cli import main; main()"
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", command, root, "serve", "--origin", origin.url, "--listen", "127.0.0.1:0", "--admin",
        "127.0.0.1:0", "--state-dir", str(tmp_path / "state"), cwd=tmp_path, stderr=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(20):
        while b'"event":"ready"' not in (line := await process.stderr.readline()):
            assert b"hijacked" not in line
            assert line
    process.terminate()
    await process.communicate()
