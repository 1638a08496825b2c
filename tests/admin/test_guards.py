"""Who may come to the admin listener: tokens and scopes, slowed guessing, known hosts, no other sites."""

import stat

import pytest

from gate.admin.auth import FAILURES_MAX, REFILL_SECONDS, Failures, Operators, load_or_make_token
from gate.admin.tokenfile import Scope, TokenFileError, add_token, read_tokens, remove_token
from tests.admin.test_admin import TOKEN, ask
from tests.harness import raw


async def test_a_read_token_looks_and_changes_nothing(start_gate, web, room_name, tmp_path):
    """GET yes; PATCH, advance, reset, admit 403 with the token's name; made and removed while the gate runs."""
    running = await start_gate(mode="hold")
    path = tmp_path / "state" / "admin-tokens.json"
    token = add_token(path, "grafana", Scope.READ)
    running.gate.control._operators.refresh()
    headers = {"Authorization": f"Bearer {token}"}
    assert (await ask(web, running, "GET", f"/api/rooms/{room_name}", headers=headers))[0] == 200
    for method, rest, body in (
        ("PATCH", "", {"mode": "off"}),
        ("POST", "/advance", {"by": 1}),
        ("POST", "/reset", {"confirm": room_name}),
        ("POST", "/admit", {}),
    ):
        status, problem = await ask(web, running, method, f"/api/rooms/{room_name}{rest}", json=body, headers=headers)
        assert (status, problem["type"]) == (403, "forbidden")
        assert "grafana" in problem["detail"]
    assert running.line(room_name).revision == 1
    remove_token(path, "grafana")
    running.gate.control._operators.refresh()
    assert (await ask(web, running, "GET", "/api/rooms", headers=headers))[0] == 401


async def test_a_named_token_that_operates_is_the_actor(start_gate, web, room_name, tmp_path):
    """Its name goes on record."""
    running = await start_gate()
    token = add_token(tmp_path / "state" / "admin-tokens.json", "night-shift", Scope.OPERATE)
    running.gate.control._operators.refresh()
    headers = {"Authorization": f"Bearer {token}"}
    path = f"/api/rooms/{room_name}"
    assert (await ask(web, running, "PATCH", path, json={"mode": "hold"}, headers=headers))[0] == 200
    log = (await ask(web, running, "GET", f"{path}/log"))[1]
    assert log["entries"][-1]["actor"] == "night-shift"


async def test_guessing_is_slowed_down(start_gate, web):
    """Ten wrong tokens are 401, then 429 with `Retry-After`; a right one works all the while, whoever guesses beside."""
    running = await start_gate()
    wrong = {"Authorization": "Bearer wrong"}
    statuses = [(await ask(web, running, "GET", "/api/rooms", headers=wrong))[0] for _ in range(1_000)]
    assert statuses == [401] * FAILURES_MAX + [429] * (1_000 - FAILURES_MAX)
    async with web.get(running.admin_url + "/api/rooms", headers=wrong) as answer:
        assert 1 <= int(answer.headers["Retry-After"]) <= REFILL_SECONDS
    assert (await ask(web, running, "GET", "/api/rooms"))[0] == 200
    async with web.get(running.admin_url + "/livez") as answer:
        assert answer.status == 200, "health needs no token"


def test_the_bucket_of_failures():
    """Refills one in six seconds; peers do not pay for one another; a right token costs nothing."""
    failures = Failures()
    for _ in range(FAILURES_MAX):
        assert failures.wait("a", 100.0) == 0
        failures.add("a", 100.0)
    assert 0 < failures.wait("a", 100.0) <= REFILL_SECONDS
    assert failures.wait("b", 100.0) == 0
    assert failures.wait("a", 100.0 + REFILL_SECONDS) == 0
    for number in range(30_000):
        failures.add(f"peer{number}", 100.0)
    assert len(failures._peers) <= 10_000


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.test", 421),
        ("localhost.evil.test", 421),
        ("127.0.0.1.evil.test:9090", 421),
        ("", 421),
        ("localhost", 200),
        ("localhost:9090", 200),
        ("127.0.0.1:9090", 200),
        ("[::1]:9090", 200),
        ("10.1.2.3", 200),
        ("gate-admin.internal:9090", 200),
    ],
)
async def test_a_rebound_name_is_refused(start_gate, web, host, status):
    """DNS rebinding brings its own name: 421 unless it is an address, localhost or configured."""
    running = await start_gate(server={"admin_hosts": ["gate-admin.internal"]})
    found, body = await ask(web, running, "GET", "/api/rooms", headers={**TOKEN, "Host": host})
    assert found == status
    assert status == 200 or body["type"] == "misdirected"


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.test"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_another_site_is_refused(start_gate, web, room_name, headers):
    """403, even with a right token."""
    running = await start_gate()
    for method, path in (("GET", "/api/rooms"), ("PATCH", f"/api/rooms/{room_name}")):
        status, body = await ask(web, running, method, path, json={"mode": "off"}, headers={**TOKEN, **headers})
        assert (status, body["type"]) == (403, "forbidden")
    own = {**TOKEN, "Origin": running.admin_url, "Sec-Fetch-Site": "same-origin"}
    assert (await ask(web, running, "GET", "/api/rooms", headers=own))[0] == 200


async def test_metrics_are_closed_unless_opened(start_gate, web):
    """A token, or `open_metrics`."""
    running = await start_gate()
    assert (await ask(web, running, "GET", "/metrics", headers={}))[0] == 401
    opened = await start_gate(server={"open_metrics": True})
    async with web.get(opened.admin_url + "/metrics") as answer:
        assert answer.status == 200
    assert (await ask(web, opened, "GET", "/api/rooms", headers={}))[0] == 401


def test_tokens_are_kept_by_digest_alone(tmp_path):
    """0600; the text is nowhere; a second of the same name, a reserved and an odd one are refused."""
    path = tmp_path / "admin-tokens.json"
    text = add_token(path, "ann", Scope.OPERATE)
    assert text not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for name in ("ann", "operator", "gate", "configuration", "Bad Name", "", "x" * 41):
        with pytest.raises(TokenFileError):
            add_token(path, name, Scope.READ)
    operators = Operators("own", path)
    assert operators.refresh() == ""
    assert (operators.find(text).name, operators.find(text).scope) == ("ann", Scope.OPERATE)
    assert operators.find("own").name == "operator"
    assert operators.find("") is None
    with pytest.raises(TokenFileError, match="no such token"):
        remove_token(path, "bob")


def test_a_file_open_to_others_opens_nothing(tmp_path):
    """Wrong mode, or not a file of tokens: none of its tokens is good, and it is told."""
    path = tmp_path / "admin-tokens.json"
    text = add_token(path, "ann", Scope.READ)
    path.chmod(0o644)
    with pytest.raises(TokenFileError, match="open to others"):
        read_tokens(path)
    operators = Operators("own", path)
    assert "chmod 600" in operators.refresh()
    assert operators.find(text) is None
    path.chmod(0o600)
    assert operators.refresh() == ""
    assert operators.find(text).name == "ann", "mended by the mode alone"
    path.write_text('{"a": 1}')
    with pytest.raises(TokenFileError, match="not a file of tokens"):
        read_tokens(path)


@pytest.mark.parametrize("text", ["", "\n", "short\n"])
def test_an_empty_token_file_opens_nothing(tmp_path, text):
    """Told at the start; and a header without a token is none, whatever is in the file."""
    (tmp_path / "admin-token").write_text(text)
    with pytest.raises(TokenFileError, match="holds no token"):
        load_or_make_token(tmp_path, "")
    assert Operators("", tmp_path / "none").find("") is None


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        ("PATCH", {"If-Match": "9" * 4_400}, b'{"message": "x"}'),
        ("PATCH", {"Content-Encoding": "gzip"}, b"garbage"),
        ("PATCH", {}, b'{"release_rate": 1e400}'),
        ("PATCH", {}, b'{"release_rate": "0.0000000000000001/h"}'),
        ("PATCH", {}, b'{"max_issued": 99999999999999999999999999}'),
        ("PATCH", {}, b'{"message": "\\ud800"}'),
        ("PATCH", {}, b'{"message": "\\u0007"}'),
        ("PATCH", {}, b"[" * 50_000),
        ("PATCH", {}, b"\xff\xfe"),
    ],
)
async def test_odd_bodies_are_bad_requests(start_gate, web, room_name, method, headers, body):
    """400 as a problem document, never a 500; the room goes on."""
    running = await start_gate()
    async with web.request(
        method, f"{running.admin_url}/api/rooms/{room_name}", data=body,
        headers={**TOKEN, "Content-Type": "application/json", **headers},
    ) as answer:  # fmt: skip
        assert (answer.status, (await answer.json(content_type=None))["type"]) == (400, "bad-request")
    assert (await ask(web, running, "PATCH", f"/api/rooms/{room_name}", json={"message": "fine"}))[0] == 200


async def test_what_is_no_request_is_answered_in_our_words(start_gate):
    """A broken head on the admin listener: a problem document that repeats nothing of it."""
    running = await start_gate()
    port = int(running.admin_url.rpartition(":")[2])
    said = await raw(port, b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer secret-thing\r\n\r\n")
    assert said.split(b" ")[1] == b"400"
    assert b'"bad-request"' in said
    assert b"secret-thing" not in said
    assert b"aiohttp" not in said


async def test_a_method_that_is_not_allowed_is_told_which_are(start_gate, web, room_name):
    """405 with `Allow`."""
    running = await start_gate()
    async with web.delete(f"{running.admin_url}/api/rooms/{room_name}", headers=TOKEN) as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "PATCH"}
