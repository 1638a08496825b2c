"""Rows 31 to 35, 40 and 41 of the threat model: operators' doors, the origin's word, secrets, and a poisoned store."""

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from aiohttp import web as server

from gate.telemetry import start_logging
from tests.admin.test_admin import TOKEN, ask
from tests.faults.guarded import AclStore
from tests.faults.test_stores_of_sites import rules_of_the_docs
from tests.harness import FETCH, PAGE, head, raw
from tests.processes import gate_tree


async def test_row_31_no_other_site_moves_the_gate(start_gate, web, room_name):
    """A form from elsewhere, a cookie, a GET: nothing changes; only a bearer header with JSON does."""
    running = await start_gate(mode="hold", release_rate="5/s")
    url = f"{running.admin_url}/api/rooms/{room_name}"
    revision = running.line(room_name).revision
    elsewhere = {"Origin": "https://evil.test", "Content-Type": "application/x-www-form-urlencoded"}
    for method, path, headers, data, allowed in (
        ("POST", "/advance", {**TOKEN, **elsewhere}, "by=9", {403}),
        ("POST", "/advance", {**TOKEN, "Content-Type": "application/x-www-form-urlencoded"}, "by=9", {400, 415}),
        ("POST", "/advance", {**TOKEN, "Content-Type": "text/plain"}, '{"by": 9}', {400, 415}),
        ("POST", "/reset", {**TOKEN, "Sec-Fetch-Site": "cross-site", "Content-Type": "application/json"}, "{}", {403}),
        ("PATCH", "", {"Cookie": "token=secret-of-staff", "Content-Type": "application/json"}, '{"mode": "off"}', {401}),
        ("GET", "/advance?by=9", TOKEN, None, {404, 405}),
        ("GET", "?mode=off", TOKEN, None, {200}),
        ("HEAD", "/reset", TOKEN, None, {404, 405}),
    ):
        async with web.request(method, url + path, headers=headers, data=data) as answer:
            assert answer.status in allowed, (method, path, answer.status)
            assert not [key for key in answer.headers if key.lower() == "access-control-allow-origin"]
    line = running.line(room_name)
    assert (line.revision, line.now_serving, line.mode) == (revision, 0, "hold")


async def test_row_32_guessing_a_token_is_slow_and_on_record(start_gate, web):
    """A thousand wrong tokens: 429 after ten, a line in the log each; a right one works; `/api` is not on the public side."""
    written = io.StringIO()
    start_logging(written, logging.INFO)
    running = await start_gate(mode="hold")
    wrong = {"Authorization": "Bearer guess-me-if-you-can"}
    statuses = [(await ask(web, running, "GET", "/api/rooms", headers=wrong))[0] for _ in range(200)]
    assert statuses[:10] == [401] * 10
    assert set(statuses[10:]) == {429}
    assert (await ask(web, running, "GET", "/api/rooms"))[0] == 200
    assert "unauthorized" in written.getvalue()
    assert "guess-me" not in written.getvalue()
    async with web.get(running.url + "/_gate/api/rooms", headers=TOKEN) as answer:
        assert (answer.status, json.loads(await answer.read())["type"]) == (404, "not-found")
    async with web.get(running.url + "/api/rooms", headers={**TOKEN, **FETCH}) as answer:
        assert answer.status == 429, "the site's own URL, which waits"


async def test_row_33_a_rebound_name_is_misdirected(start_gate, web):
    """Another site's name that resolves to this listener: 421, with a right token too."""
    running = await start_gate()
    for host in ("evil.test", "localhost.evil.test", "127.0.0.1.evil.test:9090"):
        status, problem = await ask(web, running, "GET", "/api/rooms", headers={**TOKEN, "Host": host})
        assert (status, problem["type"]) == (421, "misdirected")


async def test_row_34_the_gate_fetches_nothing_it_is_told_to(start_gate, web, origin, tmp_path):
    """A redirect of the origin's is the visitor's; an origin is a scheme, host and port, nothing else."""

    @origin.on("/go")
    async def go(_request):
        return server.Response(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"})

    running = await start_gate(mode="off")
    async with web.get(running.url + "/go", allow_redirects=False) as answer:
        assert answer.status == 302
        assert answer.headers["Location"] == "http://169.254.169.254/latest/meta-data/"
    assert len(origin.seen) == 1
    for url in ("file:///etc/passwd", "gopher://x", "http://user:pw@x", "http://x/path", "http://x?y", "http://x#y", "x:80"):
        path = tmp_path / "gate.toml"
        path.write_text(f'[origin]\nurl = "{url}"\n')
        said = subprocess.run([sys.executable, "-m", "gate", "check", str(path)], check=False, capture_output=True, text=True)
        assert said.returncode == 2, url
        assert "origin.url" in said.stderr + said.stdout


async def test_row_35_no_secret_is_told(tmp_path, origin, web):
    """A whole run with faults and a reload: its log, metrics, dump of threads and `ps` hold none of its secrets."""
    config = '[store]\nurl = ""\n[[room]]\nname = "sale"\nrelease_rate = "100/s"\n'
    shown = ["hunter2-query", "Basic aHVudGVyMg", "cookie-of-the-site", "SecretAgent/9", "forged.token.text"]
    async with gate_tree(tmp_path, origin.url, config) as tree:
        jar = []
        agent = {**PAGE, "User-Agent": shown[3], "Authorization": shown[1], "Accept-Encoding": "identity"}
        async with web.get(f"{tree.url}/x?token={shown[0]}", headers={**agent, "Cookie": f"s={shown[2]}"}) as answer:
            jar += [value for cookie in answer.headers.getall("Set-Cookie", []) if (value := cookie.partition("=")[2].partition(";")[0])]
        async with web.post(f"{tree.url}/_gate/join/sale", headers={"Gate-Client": "api"}) as answer:
            jar += [value for key, value in json.loads(await answer.read()).items() if key in ("pre_ticket", "ticket")]
        async with web.get(f"{tree.url}/x%00?token={shown[0]}", headers=agent) as answer:
            assert answer.status == 400
        async with web.get(f"{tree.url}/x", headers={**FETCH, "Cookie": f"gate_pass_sale={shown[4]}"}) as answer:
            await answer.read()
        await raw(int(tree.url.rpartition(":")[2]), b"GET /x HTTP/9.9\r\nHost: x\r\nAuthorization: " + shown[1].encode() + b"\r\n\r\n", seconds=1)
        async with web.get(f"{tree.admin}/api/rooms", headers={"Authorization": "Bearer wrong-token-of-x"}) as answer:
            assert answer.status == 401
        async with web.get(f"{tree.admin}/metrics", headers={"Authorization": "Bearer secret-of-staff"}) as answer:
            metrics = (await answer.read()).decode()
        await asyncio.sleep(0.3)
        said = "\n".join(json.dumps(line) for line in tree.log)
        listed = subprocess.run(["ps", "axww", "-o", "args"], check=True, capture_output=True, text=True).stdout
        ours = "\n".join(line for line in listed.splitlines() if str(tmp_path) in line or "gate" in line)
    keys = [key["secret"] for key in json.loads((tmp_path / "state" / "keys.json").read_text())["keys"]]
    files = {path: path.read_bytes() for path in Path(tmp_path).rglob("*") if path.is_file() and path.name != "keys.json"}
    assert len(jar) >= 2
    for secret in [*shown, *jar, *keys, "secret-of-staff", "wrong-token-of-x"]:
        assert secret not in said, secret
        assert secret not in metrics, secret
        assert secret not in ours, secret
        assert not [path for path, data in files.items() if secret.encode() in data], secret


def test_row_35_a_store_url_with_a_password_is_not_repeated(tmp_path):
    """Neither by a fault of the configuration nor by a store that is away."""
    path = tmp_path / "gate.toml"
    path.write_text('[store]\nurl = "redis//:hunter2@127.0.0.1:1/0"\n[origin]\nurl = "http://127.0.0.1:1"\n')
    said = subprocess.run([sys.executable, "-m", "gate", "check", str(path)], check=False, capture_output=True, text=True)
    assert said.returncode == 2
    assert "store.url" in said.stdout + said.stderr
    assert "hunter2" not in said.stdout + said.stderr
    try:
        raise ConnectionError("redis://:hunter2@127.0.0.1")
    except ConnectionError as error:
        record = logging.LogRecord("gate.x", logging.ERROR, "", 0, "fault", None, (type(error), error, error.__traceback__))
        assert "hunter2" in traceback.format_exc(), "as others would tell it"
    from gate.telemetry import _JsonFormatter

    assert "hunter2" not in _JsonFormatter().format(record)


async def test_row_40_a_user_of_the_store_with_no_more_rights_than_needed(tmp_path, origin, web):
    """The docs' rules: no FLUSHALL, CONFIG, KEYS or DEBUG, no other key; a visit, a change and a reset work."""
    rules = rules_of_the_docs()
    assert not re.search(r"\+(@all|flushall|config|keys|debug)\b", rules)
    (tmp_path / "store").mkdir()
    async with AclStore(tmp_path / "store", rules=rules) as store:
        for words in (("FLUSHALL",), ("CONFIG", "GET", "*"), ("KEYS", "*"), ("DEBUG", "SLEEP", "0"), ("SET", "other", "1")):
            said = await store.command("ACL", "DRYRUN", "gate", *words)
            assert said != b"OK", words
        config = '[[room]]\nname = "sale"\nrelease_rate = "100/s"\n'
        async with gate_tree(tmp_path / "gate", origin.url, config, GATE_STORE_URL=store.url) as tree:
            async with web.get(f"{tree.url}/x", headers=FETCH) as answer:
                assert answer.status == 200
            headers = {"Authorization": "Bearer secret-of-staff"}
            async with web.patch(f"{tree.admin}/api/rooms/sale", json={"mode": "hold"}, headers=headers) as answer:
                assert answer.status == 200
            async with web.post(f"{tree.admin}/api/rooms/sale/reset", json={"confirm": "sale"}, headers=headers) as answer:
                assert answer.status == 200
            assert store.gate_password not in json.dumps(tree.log)


@pytest.mark.parametrize(("field", "poison"), [("n", "abc"), ("n", str(2**63)), ("n", "-5"), ("sv_n", "nan"), ("rate", "NaN"), ("gen", "1e3"), ("at", "inf")])
async def test_row_41_a_poisoned_number_is_one_rooms_trouble(start_gate, web, connection, room_name, field, poison):
    """What the store says is checked: that room is unavailable, the other goes on, and mended it comes back."""
    rooms = [{"name": room_name, "paths": ["/a"], "mode": "hold"}, {"name": f"{room_name}b", "paths": ["/b"], "release_rate": "100/s"}]
    running = await start_gate(rooms=rooms)
    key = f"gate:{{{room_name}}}:line"
    sound = await connection.command("HGET", key, field)
    assert sound is not None, field
    await connection.command("HSET", key, field, poison)
    live = running.gate.parts.live
    async with asyncio.timeout(5):
        while not live.fails(room_name):
            await asyncio.sleep(0.02)
    for _ in range(5):
        async with web.get(running.url + "/a", headers=FETCH) as answer:
            assert answer.status in (429, 503)
        async with web.get(running.url + "/b", headers=FETCH) as answer:
            assert answer.status == 200
    async with web.post(f"{running.url}/_gate/join/{room_name}", headers={"Gate-Client": "api"}) as answer:
        assert answer.status in (202, 503)
    await connection.command("HSET", key, field, sound)
    async with asyncio.timeout(10):
        while live.fails(room_name):
            await asyncio.sleep(0.05)
    assert (await raw(running.port, head("GET", "/b", "Sec-Fetch-Mode: cors"))).startswith(b"HTTP/1.1 200")
