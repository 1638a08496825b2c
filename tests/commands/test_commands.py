"""The command line, against a real gate: what it says, what it does, and how it fails."""

import asyncio
import json
import re
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from gate.cli import main
from gate.commands.watch import sparkline
from gate.commands.words import change, duration
from gate.store.keys import record_key
from tests.admin.test_admin import TOKEN, ask


@dataclass
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path):
    """Run a command against a gate, in a thread of its own."""

    async def run(running, *words, input_text=None, **environ):
        env = {"GATE_ADMIN_URL": running.admin_url if running else "http://127.0.0.1:1",
               "GATE_ADMIN_TOKEN": "secret-of-staff", "GATE_STATE_DIR": str(tmp_path / "state"), **environ}  # fmt: skip
        result = await asyncio.to_thread(CliRunner().invoke, main, list(words), env=env, input=input_text)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return run


def flat(fields):
    """Field, value, ..."""
    return [part for pair in fields.items() for part in pair]


async def fill(running, new_browser, room, count):
    """So many in line."""
    for _ in range(count):
        await new_browser(running).join(room)


async def test_rate_says_what_it_means_for_the_last_in_line(start_gate, new_browser, room_name, run, web):
    """Before → after, and the wait of the last; in force."""
    running = await start_gate(release_rate="1/min", burst=0)
    await fill(running, new_browser, room_name, 3)
    said = await run(running, "rate", room_name, "30/min")
    assert said.out.startswith(f"{room_name}: 1/min → 30/min\n")
    assert re.search(r"[23] wait; the last person in line: about [23] min 0 s → [46] s\.", said.out)
    assert running.line(room_name).release_rate == 0.5
    held = await run(running, "hold", room_name)
    assert held.out == f"{room_name}: auto → hold; nobody is let in, {running.line(room_name).waiting} keep their places, newcomers may join.\n"
    assert "counts from `gate resume" in (await run(running, "rate", room_name, "2/s")).out
    assert f"{room_name}: hold → auto" in (await run(running, "resume", room_name)).out
    assert "no newcomers" in (await run(running, "close", room_name)).out
    assert running.line(room_name).mode == "closed"


async def test_status_is_a_table_or_json(start_gate, room_name, run):
    """All rooms, one room; numbers as the API has them."""
    running = await start_gate(release_rate="30/min")
    table = await run(running, "status")
    assert re.search(rf"{room_name} +auto +30/min", table.out)
    one = json.loads((await run(running, "status", room_name, "--json")).out)
    assert (one["room"], one["release_rate"]) == (room_name, 0.5)
    assert json.loads((await run(running, "status", "--json")).out)[0]["room"] == room_name


async def test_advance_message_and_reset(start_gate, new_browser, room_name, run):
    """Let in by hand; a word on the page; reset only behind the room's name."""
    running = await start_gate(mode="hold")
    await fill(running, new_browser, room_name, 3)
    assert (await run(running, "advance", room_name, "2")).out == f"{room_name}: 2 let in; 1 wait.\n"
    await run(running, "message", room_name, "Doors at eight")
    assert running.line(room_name).message == "Doors at eight"
    assert (await run(running, "message", room_name, "")).out == f"{room_name}: no message.\n"
    refused = await run(running, "reset", room_name, input_text="yes\n")
    assert (refused.code, "not reset" in refused.err) == (1, True)
    assert running.line(room_name).issued == 3
    assert "1 lose their place" in refused.out
    assert (await run(running, "reset", room_name, input_text=f"{room_name}\n")).code == 0
    assert running.line(room_name).issued == 0
    assert (await run(running, "reset", room_name, "--confirm", "other")).code == 1
    assert (await run(running, "reset", room_name, "--confirm", room_name)).code == 0


async def test_the_record_verifies_and_tells_where_it_was_touched(start_gate, room_name, run, connection):
    """Untouched: exit 0 and the head. One entry altered by hand in the store: exit 1, and which."""
    running = await start_gate()
    for rate in ("11/s", "12/s", "13/s"):
        await run(running, "rate", room_name, rate)
    good = await run(running, "log", room_name, "--verify")
    head = re.search(r"4 entries, unbroken; head (4:[0-9a-f]{64})", good.out)[1]
    assert re.search(r" 3  20.*  operator  change  release_rate 11.0 → 12.0", good.out)
    assert (await run(running, "log", room_name, "--head", head)).code == 0
    assert (await run(running, "log", room_name, "--head", "4:" + "0" * 64)).code == 1
    rows = await connection.command("XRANGE", record_key(room_name), "-", "+")
    kept = [(identifier, dict(fields)) for identifier, fields in rows]
    await connection.command("DEL", record_key(room_name))
    for identifier, fields in kept:
        text = fields["text"].replace("12.0", "99.0") if fields["head"].startswith("3:") else fields["text"]
        await connection.command("XADD", record_key(room_name), identifier, *flat({**fields, "text": text}))
    bad = await run(running, "log", room_name, "--verify")
    assert bad.code == 1
    assert f"{room_name}: the record is broken at entry 3: it was altered" in bad.err


async def test_links_for_guests_and_previews(start_gate, room_name, run, web):
    """One line each on standard output, so that a script can use it."""
    running = await start_gate(mode="hold")
    link = await run(running, "admit", room_name, "--life", "2h", "--next", "/book")
    assert link.out.startswith(running.url + f"/_gate/enter/{room_name}?ticket=")
    assert (await run(running, "admit", room_name, "--life", "soon")).code == 2
    preview = await run(running, "preview", room_name, "--state", "held", "--language", "pl", "--ahead", "5")
    async with web.get(preview.out.strip()) as answer:
        assert 'lang="pl"' in await answer.text()
    odd = await run(running, "preview", room_name, "--state", "odd")
    assert (odd.code, "state: must be one of" in odd.err) == (1, True)


async def test_watch_draws_rooms_sparklines_and_the_log(start_gate, room_name, run, web):
    """What is done while it runs is in it."""
    running = await start_gate(mode="hold")
    watching = asyncio.ensure_future(run(running, "watch", "--seconds", "2.5"))
    await asyncio.sleep(0.8)
    await running.patch(web, room_name, release_rate="77/s")
    said = await watching
    assert said.code == 0
    assert "77/s" in said.out
    assert "operator  change  release_rate" in said.out
    assert "released/s" in said.out


async def test_faults_are_one_line_and_no_zero(start_gate, room_name, run):
    """No gate, a wrong token, no such room, a bad value."""
    running = await start_gate()
    for words, environ, code, part in (
        (("status",), {"GATE_ADMIN_URL": "http://127.0.0.1:1"}, 1, "does not answer"),
        (("status",), {"GATE_ADMIN_TOKEN": "wrong"}, 1, "the token was refused"),
        (("rate", "nowhere", "3/s"), {}, 1, "no such room"),
        (("rate", room_name, "abc/s"), {}, 2, 'must be "500/s"'),
        (("rate", room_name, "-3"), {}, 2, "No such option"),
        (("advance", room_name, "0"), {}, 2, "0 is not in the range"),
        (("hold",), {}, 2, "Missing argument"),
        (("status", "--url", "nonsense"), {}, 1, "must be http://HOST:PORT"),
        (("watch", "nowhere", "--seconds", "3"), {}, 1, "no such room"),
    ):
        said = await run(running, *words, **environ)
        assert said.code == code, words
        assert part in said.err
        assert len(said.err.splitlines()) == 1
        assert said.err.startswith("gate: ")
    assert (await run(running, "status", GATE_ADMIN_URL=running.url)).code == 1


async def test_the_token_is_found_in_the_state_directory(start_gate, run, tmp_path):
    """Without `GATE_ADMIN_TOKEN` the file `admin-token` of `GATE_STATE_DIR` is read."""
    running = await start_gate()
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "admin-token").write_text("secret-of-staff\n")
    environ = {"GATE_ADMIN_TOKEN": "", "GATE_STATE_DIR": str(folder)}
    assert (await run(running, "status", **environ)).code == 0
    assert (await run(running, "status", "--state-dir", str(folder), GATE_ADMIN_TOKEN="")).code == 0


async def test_tokens_are_made_listed_and_removed(start_gate, run, web, tmp_path):
    """The gate follows within a second or so; a token is shown once."""
    running = await start_gate()
    token = (await run(running, "tokens", "add", "grafana", "--scope", "read")).out.strip()
    assert (await run(running, "tokens", "list")).out == "grafana  read\n"
    headers = {"Authorization": f"Bearer {token}"}
    async with asyncio.timeout(3):
        while (await ask(web, running, "GET", "/api/rooms", headers=headers))[0] != 200:
            await asyncio.sleep(0.7)  # slowly: guessing is counted
    assert (await run(running, "tokens", "add", "grafana")).code == 1
    assert (await run(running, "tokens", "remove", "grafana")).code == 0
    assert (await ask(web, running, "GET", "/api/rooms", headers=TOKEN))[0] == 200


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "\u2013"), (0, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (3_600, "1 h 0 min")]
)
def test_durations_are_said_as_people_say_them(seconds, words):
    """Seconds, minutes, hours."""
    assert duration(seconds) == words


def test_changes_are_said_in_one_line():
    """Before and after; what is new has no before; what cannot be read is a question mark."""
    assert change({"rate": 1.0, "message": ""}, {"rate": 2.0, "message": "a b"}) == "rate 1.0 → 2.0, message “” → “a b”"
    assert change({}, {"generation": 5}) == "generation 5"
    assert change(None, {}) == "?"


def test_sparklines_reach_from_nothing_to_the_most():
    """The highest is full, nothing is the lowest bar."""
    assert sparkline([0, 5, 10]) == "▁▅█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""
