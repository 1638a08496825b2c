"""The admin listener: closed unless the token is shown, exact answers to bad input, changes in force at once."""

import io
import json
import stat

import pytest

from gate.admin.auth import load_or_make_token

TOKEN = {"Authorization": "Bearer secret-of-staff"}


async def ask(web, running, method, path, **options):
    """One request; status and body."""
    async with web.request(method, running.admin_url + path, **{"headers": TOKEN, **options}) as answer:
        return answer.status, json.loads(await answer.read())


async def test_closed_without_the_token(start_gate, web, room_name):
    """No token, a wrong one, and another scheme: 401; nothing of the API on the public listener."""
    running = await start_gate(mode="hold")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic operator"}):
        for method, path in (("GET", "/api/rooms"), ("PATCH", f"/api/rooms/{room_name}"), ("GET", "/api/none")):
            status, body = await ask(web, running, method, path, headers=headers)
            assert (status, body["type"]) == (401, "unauthorized")
    async with web.get(f"{running.url}/api/rooms", headers=TOKEN) as answer:
        assert answer.status == 429, "on the public listener it is the origin's URL, and waits like any"


async def test_a_room_is_shown_and_changed(start_gate, web, room_name):
    """The document has the contract's fields; a PATCH is in force and raises the revision."""
    running = await start_gate(mode="hold")
    status, room = await ask(web, running, "GET", f"/api/rooms/{room_name}")
    assert status == 200
    wanted = {"room", "mode", "generation", "era", "revision", "release_rate", "burst", "max_issued", "message",
              "issued", "now_serving", "waiting", "claimed", "oldest_wait"}  # fmt: skip
    assert wanted <= room.keys()
    status, after = await ask(
        web,
        running,
        "PATCH",
        f"/api/rooms/{room_name}",
        json={"release_rate": "300/min", "mode": "auto", "message": "hi"},
    )
    assert (status, after["release_rate"], after["mode"], after["message"]) == (200, 5.0, "auto", "hi")
    assert after["revision"] == room["revision"] + 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"speed": 1}, "speed: is not a key"),
        ({"release_rate": -1}, "release_rate: must be"),
        ({"release_rate": "abc/s"}, "release_rate: must be"),
        ({"mode": "prequeue"}, "mode: must be one of"),
        ({"max_issued": 1.5, "burst": -3}, "max_issued: must be a whole number above 0, or null; burst: must be"),
        ({"message": "x" * 501}, "message: must be"),
        ({}, "at least one key"),
        ([], "must be a JSON object"),
    ],
)
async def test_every_fault_of_a_body_is_named(start_gate, web, room_name, body, words):
    """400 with the key and what is allowed, all of them at once; nothing is changed."""
    running = await start_gate(mode="hold")
    status, problem = await ask(web, running, "PATCH", f"/api/rooms/{room_name}", json=body)
    assert (status, problem["type"]) == (400, "bad-request")
    assert words in problem["detail"]
    assert running.line(room_name).revision == 1


async def test_stale_revisions_are_refused(start_gate, web, room_name):
    """`If-Match` with another revision: 412 `revision-stale`."""
    running = await start_gate(mode="hold")
    path = f"/api/rooms/{room_name}"
    headers = {**TOKEN, "If-Match": '"1"'}
    assert (await ask(web, running, "PATCH", path, json={"message": "a"}, headers=headers))[0] == 200
    status, problem = await ask(web, running, "PATCH", path, json={"message": "b"}, headers=headers)
    assert (status, problem["type"]) == (412, "revision-stale")


async def test_advance_and_reset(start_gate, web, room_name, new_browser):
    """By hand: some are let in past the rate, never past the end; a reset needs the room's name."""
    running = await start_gate(mode="hold")
    for _ in range(3):
        await new_browser(running).join(room_name)
    path = f"/api/rooms/{room_name}"
    assert (await ask(web, running, "POST", f"{path}/advance", json={"by": 2}))[1]["now_serving"] == 2
    assert (await ask(web, running, "POST", f"{path}/advance", json={"by": 99}))[1]["now_serving"] == 3
    assert (await ask(web, running, "POST", f"{path}/advance", json={"by": 0}))[0] == 400
    assert (await ask(web, running, "POST", f"{path}/reset", json={"confirm": "x"}))[0] == 400
    before = running.line(room_name).generation
    status, after = await ask(web, running, "POST", f"{path}/reset", json={"confirm": room_name})
    assert (status, after["issued"], after["now_serving"]) == (200, 0, 0)
    assert after["generation"] > before


async def test_bodies_are_json_and_bounded(start_gate, web, room_name):
    """A form of another site cannot be one; ten megabytes are 413."""
    running = await start_gate(mode="hold")
    path = f"/api/rooms/{room_name}"
    form = await ask(web, running, "PATCH", path, data="a=b", headers={**TOKEN, "Content-Type": "text/plain"})
    assert (form[0], form[1]["type"]) == (400, "bad-request")
    large = await ask(
        web,
        running,
        "PATCH",
        path,
        data=io.BytesIO(b"x" * 10_000_000),
        headers={**TOKEN, "Content-Type": "application/json"},
    )
    assert (large[0], large[1]["type"]) == (413, "too-large")


async def test_health_needs_no_token(start_gate, web):
    """livez and readyz on both listeners."""
    running = await start_gate()
    for base in (running.admin_url, running.url + "/_gate"):
        for probe in ("livez", "readyz"):
            async with web.get(f"{base}/{probe}") as answer:
                assert answer.status == 200


def test_the_token_is_made_once_and_kept_close(tmp_path):
    """0600, the same at the next start; one given by the environment is written nowhere."""
    token, path = load_or_make_token(tmp_path / "s", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make_token(tmp_path / "s", "") == (token, path)
    assert load_or_make_token(tmp_path / "t", "given") == ("given", None)
    assert not (tmp_path / "t").exists()
