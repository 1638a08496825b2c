"""The canary finds what no number tells; the doctor finds it before the night."""

import asyncio

import pytest
from aiohttp import web as aiohttp_web
from click.testing import CliRunner

from gate.cli import main
from gate.doctor.inside import check_admin, check_config, check_files, check_store
from gate.doctor.outside import check_origin, check_public
from gate.settings import load
from tests.admin.test_admin import TOKEN, ask


def canary(**settings):
    """The configuration of one that is sent by hand."""
    return {"canary": {"every": 3600, "path": "/marked", "marker": "all is well", "within": 1.0, **settings}}


def marked(origin, text="all is well"):
    """An origin with the marked page."""

    @origin.on("/marked")
    async def _(_request):
        return aiohttp_web.Response(text=text)


async def test_a_canary_comes_in_and_is_not_in_the_count(start_gate, room_name, origin, new_browser, web):
    """It joins behind others, waits, claims and sees the page; afterwards the numbers are as without it."""
    marked(origin)
    running = await start_gate(release_rate="5/s", burst=0, **canary())
    await new_browser(running).join(room_name)
    visits = running.gate.control.canary
    await visits.visit()
    assert visits.numbers() == {"runs": 1, "failures": 0, "turn_to_page": visits.numbers()["turn_to_page"], "ok": 1.0}
    assert visits.numbers()["turn_to_page"] < 1
    room = (await ask(web, running, "GET", f"/api/rooms/{room_name}"))[1]
    assert (room["issued"], room["claimed"]) == (1, 0)
    text = await metrics(web, running)
    assert "gate_canary_ok 1.0" in text
    assert "gate_canary_runs_total 1.0" in text


async def metrics(web, running):
    """/metrics as text."""
    async with web.get(running.admin_url + "/metrics", headers=TOKEN) as answer:
        return await answer.text()


@pytest.mark.parametrize("trouble", ["marker", "slow", "broken"])
async def test_a_canary_that_does_not_see_its_page_says_so(start_gate, origin, web, caplog, trouble):
    """Another page, one that comes late, an error: a metric and a log line; well again after the next good one."""
    marked(origin, "something else")
    settings = {"marker": {"within": 5.0}, "slow": {"within": 0.2, "marker": ""}, "broken": {"marker": ""}}[trouble]

    @origin.on("/marked")
    async def _(_request):
        if trouble == "slow":
            await asyncio.sleep(0.5)
        return aiohttp_web.Response(text="something else", status=500 if trouble == "broken" else 200)

    running = await start_gate(**canary(**settings))
    with caplog.at_level("INFO", logger="gate.canary"):
        await running.gate.control.canary.visit()
    assert "gate_canary_ok 0.0" in await metrics(web, running)
    assert "canary failed" in caplog.text
    marked(origin)
    await running.gate.control.canary.visit()
    assert "gate_canary_ok 1.0" in await metrics(web, running)


async def test_a_canary_stays_away_from_a_closed_room(start_gate, room_name, web):
    """Closed is no failure; and without `every` there is none at all."""
    running = await start_gate(mode="closed", **canary())
    await running.gate.control.canary.visit()
    assert running.gate.control.canary.numbers()["runs"] == 0
    assert "gate_canary" not in await metrics(web, await start_gate(name=room_name + "x"))


def bad(findings):
    """What is not fine, by what it is about."""
    return {finding.about: finding.found for finding in findings if finding.verdict != "ok"}


async def test_a_good_deployment_has_nothing_to_mend(start_gate, web, room_name, store_url):
    """Every check is fine, and no place is spent."""
    running = await start_gate(mode="hold")
    findings = [
        *check_files(running.gate.config),
        *check_config(running.gate.config),
        *check_admin((await ask(web, running, "GET", "/api/gate"))[1]),
        *await check_store(store_url),
        *await check_origin(running.gate.config.origin["url"], verify=True),
        *await check_public(running.url, room_name),
    ]
    assert bad(findings) == {}
    assert {finding.about for finding in findings} >= {
        "files", "gate", "workers", "store", "clocks", "origin", "public", "cookies", "caches", "pointer", "proxies",
    }  # fmt: skip
    assert running.line(room_name).issued == 0


async def test_the_doctor_finds_what_is_wrong(tmp_path, start_gate, room_name):
    """Open files, believed strangers, a silent store, a dead origin, a wrong address: each with how to mend it."""
    running = await start_gate(server={"trusted_proxies": ["127.0.0.0/8"]})
    (tmp_path / "state" / "keys.json").chmod(0o644)
    found = list(check_files(running.gate.config))
    assert any("chmod 600" in finding.mend for finding in found if finding.verdict == "FAIL")
    path = tmp_path / "wide.toml"
    path.write_text('[server]\ntrusted_proxies = ["0.0.0.0/0"]\nadmin_listen = "0.0.0.0:9090"\n[origin]\nurl = "http://127.0.0.1:1"\n')
    config = load(path, environ={})
    assert {"anybody" in finding.found or "in clear" in finding.found for finding in check_config(config)} == {True}
    assert "does not answer" in bad(await check_store("redis://127.0.0.1:1"))["store"]
    assert "does not answer" in bad(await check_origin("http://127.0.0.1:1", verify=True))["origin"]
    assert "does not answer" in bad(await check_public("http://127.0.0.1:1", "default"))["public"]
    assert "public address" in bad([await _hidden("http://1.1.1.1")])["origin"]
    assert "believes X-Forwarded" in bad(await check_public(running.url, room_name))["proxies"]
    away = {"ready": False, "workers": {"serving": 1, "wanted": 2, "restarts": 3},
            "store": {"up": False, "silent": 9.0}, "time": 0.0}  # fmt: skip
    assert set(bad(check_admin(away))) == {"gate", "workers", "store", "clocks"}


async def _hidden(url):
    from gate.doctor.outside import _is_hidden

    return await _is_hidden(url)


async def test_the_command_ends_with_one_where_something_fails(start_gate, tmp_path, origin):
    """One line each, a sum, and an exit code for scripts."""
    running = await start_gate()
    env = {"GATE_ADMIN_URL": running.admin_url, "GATE_ADMIN_TOKEN": "secret-of-staff",
           "GATE_STATE_DIR": str(tmp_path / "state")}  # fmt: skip
    words = ["doctor", "--origin", origin.url, "--public", running.url]
    good = await asyncio.to_thread(CliRunner().invoke, main, words, env=env)
    assert good.exit_code == 0, good.output
    assert "0 to mend" in good.output
    wrong = await asyncio.to_thread(CliRunner().invoke, main, [*words, "--origin", "http://127.0.0.1:1"], env=env)
    assert wrong.exit_code == 1
    assert "FAIL  origin" in wrong.output
