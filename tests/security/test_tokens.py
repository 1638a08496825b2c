"""Rows 1 to 5, 36 to 39 and 42 of the threat model: what is signed, and who shows it."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from types import SimpleNamespace

import pytest

from gate.core.keyring import Algorithm
from gate.core.place import Place, pass_id
from gate.keyfile import rotate
from tests.harness import FETCH, PAGE
from tests.web.test_tokens_in_use import later

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def part(value) -> str:
    """A part of a JWT."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jws(header, claims, secret=b"", digest="sha256") -> str:
    """A token signed as an attacker pleases."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(hmac.new(secret, signed.encode(), digest).digest()) if secret else ''}"


async def admitted(start_gate, new_browser, room_name, web, **settings):
    """A visitor inside a room that has since been held: his pass as text, and what he is."""
    running = await start_gate(release_rate="100/s", **settings)
    visitor = new_browser(running)
    assert (await visitor.get("/")).status == 200
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    return running, visitor, visitor.cookies()[f"gate_pass_{room_name}"]


async def shows(web, running, room, text, **headers):
    """What an API client that shows this pass gets."""
    asked = {**FETCH, "Cookie": f"gate_pass_{room}={text}", **headers}
    async with web.get(running.url + "/book", headers=asked) as answer:
        body = await answer.read()
        return answer.status, json.loads(body).get("type") if answer.status != 200 else None


async def test_row_1_a_forged_token_is_no_token(start_gate, new_browser, web, origin, room_name):
    """Each of the signature's 43 characters changed: 429 for a program, the page for a person, nothing at the origin."""
    running, _, good = await admitted(start_gate, new_browser, room_name, web)
    assert await shows(web, running, room_name, good) == (200, None)
    origin.seen.clear()
    body, _, signature = good.rpartition(".")
    assert len(signature) == 43
    for index, letter in enumerate(signature):
        # The last letter holds two bits that are not part of the signature: one that decodes alike is refused too.
        for other in set("Axyz_" + LETTERS[LETTERS.index(letter) ^ 1]) - {letter}:
            forged = f"{body}.{signature[:index]}{other}{signature[index + 1 :]}"
            assert await shows(web, running, room_name, forged) == (429, "pass-invalid"), (index, other)
    page = {**PAGE, "Cookie": f"gate_pass_{room_name}={body}.{'A' * 43}", "Accept-Encoding": "identity"}
    async with web.get(running.url + "/book", headers=page) as answer:
        assert answer.status == 200
        assert b"data-room=" in await answer.read()
    assert origin.seen == []


async def test_row_2_the_token_does_not_choose_its_algorithm(start_gate, new_browser, web, origin, room_name):
    """`none`, another HMAC, the public key as a secret, keys in the header or elsewhere: refused, nothing fetched."""
    running, visitor, good = await admitted(start_gate, new_browser, room_name, web, tokens={"algorithm": "EdDSA"})
    header, claims = (json.loads(base64.urlsafe_b64decode(x + "==")) for x in good.split(".")[:2])
    ring = running.gate.parts.keys.tokens().ring
    derived = ring.derive(ring.find(header["kid"]), "pass", room_name)
    public = derived.verifies.public_bytes_raw()
    secret = ring.keys[0].secret
    assert ring.keys[0].pass_algorithm is Algorithm.EDDSA
    forged = [jws({**header, "alg": name}, claims) for name in ("none", "None", "NONE", "nOnE", "", None, 7, [])]
    forged += [jws({**header, "alg": "HS256"}, claims, key) for key in (public, public.hex().encode(), secret, b"x" * 32)]
    forged += [jws({**header, "alg": "HS512"}, claims, secret, "sha512"), jws({**header, "alg": "HS384"}, claims, secret, "sha384")]
    elsewhere = f"http://127.0.0.1:{running.port}/keys"
    jwk = {"kty": "oct", "k": part(b"x" * 32)}
    for more in ({"jwk": jwk}, {"jku": elsewhere}, {"x5u": elsewhere}, {"kid": "../../dev/null"}, {"crit": ["exp"]}, {"b64": False}):
        forged += [jws({**header, "alg": "HS256", **more}, claims, b"x" * 32), jws({**header, **more}, claims, b"x" * 32)]
    origin.seen.clear()
    for text in forged:
        assert await shows(web, running, room_name, text) == (429, "pass-invalid"), text
    assert origin.seen == []
    assert (await visitor.send("GET", "/book", headers=FETCH)).status == 200


async def test_row_3_kinds_rooms_and_generations_are_not_swapped(start_gate, new_browser, web, origin, room_name):
    """A ticket as a pass, room A's pass in room B, a pass from before a reset: `pass-invalid`."""
    other = f"{room_name}b"
    rooms = [{"name": room_name, "paths": ["/book"], "mode": "hold"}, {"name": other, "paths": ["/b"], "release_rate": "99/s"}]
    running = await start_gate(rooms=rooms)
    visitor = new_browser(running)
    await visitor.get("/book")
    await visitor.send("POST", f"/_gate/join/{room_name}")
    await visitor.get("/b")
    cookies = visitor.cookies()
    origin.seen.clear()
    for text in (cookies[f"gate_ticket_{room_name}"], cookies[f"gate_pass_{other}"]):
        assert await shows(web, running, room_name, text) == (429, "pass-invalid")
    headers = {"Authorization": "Bearer secret-of-staff"}
    async with web.post(f"{running.admin_url}/api/rooms/{other}/reset", json={"confirm": other}, headers=headers) as answer:
        assert answer.status == 200
    await running.patch(web, other, mode="hold")
    await running.until_seen(other, lambda line: line.mode == "hold")
    async with web.get(running.url + "/b", headers={**FETCH, "Cookie": f"gate_pass_{other}={cookies[f'gate_pass_{other}']}"}) as answer:
        assert (answer.status, json.loads(await answer.read())["type"]) == (429, "pass-invalid")
    assert origin.seen == []


BEHIND = {"trusted_proxies": ["127.0.0.1"]}
HERE, NEXT_DOOR, ELSEWHERE = ({"X-Forwarded-For": address} for address in ("8.8.8.8", "8.8.8.9", "9.9.9.9"))


async def test_row_4_a_pass_is_its_bearers_and_sharing_is_counted(start_gate, new_browser, web, room_name):
    """The same pass from a second network: admitted, and counted once."""
    running, _, good = await admitted(start_gate, new_browser, room_name, web, server=BEHIND)
    for address in (HERE, NEXT_DOOR, HERE, ELSEWHERE, HERE, ELSEWHERE):
        assert (await shows(web, running, room_name, good, **address))[0] == 200
    reading = running.gate.parts.meter.read().counters
    # The room's first page came from here, the loopback's network.
    assert reading["pass_multi_ip", room_name, ""] == 1


async def test_row_4_a_bound_pass_is_good_in_its_network_alone(start_gate, new_browser, web, origin, room_name):
    """`bind = "network"`: the neighbour may have it, somebody elsewhere is told 429 and keeps nobody from using it."""
    running = await start_gate(release_rate="100/s", bind="network", server=BEHIND)
    visitor = new_browser(running)
    assert (await visitor.get("/", **HERE)).status == 200
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    good = visitor.cookies()[f"gate_pass_{room_name}"]
    origin.seen.clear()
    assert await shows(web, running, room_name, good, **ELSEWHERE) == (429, "pass-invalid")
    assert origin.seen == []
    for address in (HERE, NEXT_DOOR):
        assert (await shows(web, running, room_name, good, **address))[0] == 200
    away = await visitor.send("GET", "/book", headers={**FETCH, **ELSEWHERE})
    assert "Set-Cookie" not in away.headers, "back at home it is good again"
    later(running, room_name, 660)
    renewed = await visitor.send("GET", "/book", headers={**FETCH, **HERE})
    assert renewed.status == 200
    text = visitor.cookies()[f"gate_pass_{room_name}"]
    assert text != good
    assert await shows(web, running, room_name, text, **ELSEWHERE) == (429, "pass-invalid"), "bound still"


async def test_row_5_a_ticket_is_one_admission(start_gate, new_browser, web, room_name):
    """Claimed from two cookie jars: the same pass, no longer life; past `claim_within` 410."""
    running = await start_gate(mode="hold", release_rate="100/s", claim_within=60)
    seller = new_browser(running)
    await seller.join(room_name)
    ticket = {"Cookie": f"gate_ticket_{room_name}={seller.cookies()[f'gate_ticket_{room_name}']}", "Gate-Client": "api"}
    await running.patch(web, room_name, mode="auto")
    await running.until_seen(room_name, lambda line: line.now_serving >= 1)
    tokens, found = running.gate.parts.keys.tokens(), []
    for _ in range(2):
        async with web.post(f"{running.url}/_gate/claim/{room_name}", headers=ticket) as answer:
            assert answer.status == 200
            found.append(tokens.read_pass((await answer.json())["pass"], room_name))
    first, second = found
    assert (first.identity, first.cap) == (second.identity, second.cap)
    line = running.line(room_name)
    desk = running.gate.front.desks[room_name]
    desk._lenient_now = lambda: line.served_at(first.place) + 61
    async with web.post(f"{running.url}/_gate/claim/{room_name}", headers=ticket) as answer:
        assert (answer.status, (await answer.json(content_type=None))["type"]) == (410, "ticket-lapsed")


async def test_row_36_tossed_cookies_shadow_nothing(start_gate, new_browser, web, origin, room_name):
    """Garbage of our name before and after, a second line, 900 others, quotes: admitted, and the origin sees none of ours."""
    running, _, good = await admitted(start_gate, new_browser, room_name, web, server={"max_field_bytes": 16_000})
    name = f"gate_pass_{room_name}"
    many = "; ".join(f"c{index}=1" for index in range(900))
    for lines in ([f"{name}=x; {name}={good}; {name}=y"], [f"{name}=x", f"{name}={good}"], [f'{name}="{good}"'],
                  [f'{name}="a;b"; {name}={good}'], [f"{many}; {name}={good}"]):  # fmt: skip
        async with web.get(running.url + "/x", headers=[*FETCH.items(), *(("Cookie", line) for line in lines)]) as answer:
            assert answer.status == 200, lines[0][:50]
        assert "gate_pass" not in str(origin.seen[-1].headers.getall("Cookie", []))
    secure = await start_gate(name=f"{room_name}s", mode="hold", server={"public_scheme": "https"})
    async with web.get(secure.url + "/", headers=PAGE) as answer:
        assert answer.headers["Set-Cookie"].startswith(f"__Host-gate_pre_{room_name}s=")


async def test_row_37_a_cookie_that_was_planted_gives_only_its_own_place(start_gate, new_browser, web, room_name):
    """A victim with the attacker's pre-ticket or ticket: the place is the attacker's, and the claim makes a fresh pass."""
    running = await start_gate(mode="hold", release_rate="100/s")
    attacker, victim = new_browser(running), new_browser(running)
    theirs = (await attacker.join(room_name)).json()
    ticket = attacker.cookies()[f"gate_ticket_{room_name}"]
    headers = {"Cookie": f"gate_ticket_{room_name}={ticket}; gate_pass_{room_name}={ticket}"}
    async with web.post(f"{running.url}/_gate/join/{room_name}", headers=headers) as answer:
        assert (await answer.json())["position"] == theirs["position"], "no place of its own is lost or won"
    own = (await victim.join(room_name)).json()
    assert own["position"] == theirs["position"] + 1
    await running.patch(web, room_name, mode="auto")
    await running.until_seen(room_name, lambda line: line.now_serving >= 2)
    claimed = await victim.send("POST", f"/_gate/claim/{room_name}", headers={"Cookie": f"gate_pass_{room_name}={ticket}; gate_ticket_{room_name}={victim.cookies()[f'gate_ticket_{room_name}']}"})
    tokens = running.gate.parts.keys.tokens()
    assert claimed.status == 200
    assert tokens.read_pass(victim.cookies()[f"gate_pass_{room_name}"], room_name).place.position == own["position"]


@pytest.mark.parametrize("seconds", [30, -30])
async def test_row_38_gates_whose_clocks_differ_believe_each_other(start_gate, new_browser, web, room_name, seconds, monkeypatch):
    """One machine's clock is off by half a minute: its tickets and passes are good with the other, and the reverse."""
    first = await start_gate(mode="hold", release_rate="100/s")
    wrong = SimpleNamespace(time=lambda: time.time() + seconds, monotonic=time.monotonic, perf_counter=time.perf_counter)
    monkeypatch.setattr("gate.store.connection.time", wrong)
    second = await start_gate(mode="hold", release_rate="100/s")
    async with asyncio.timeout(5):
        while abs(second.gate.parts.connection.clock.skew - seconds) > 1:
            await asyncio.sleep(0.02)
    visitors = [new_browser(first), new_browser(second)]
    for visitor in visitors:
        assert (await visitor.join(room_name)).json()["status"] == "waiting"
    await first.patch(web, room_name, mode="auto")
    for gate in (first, second):
        await gate.until_seen(room_name, lambda line: line.now_serving >= 2)
    for visitor, gate in zip(visitors, (second, first), strict=True):
        cookie = {"Cookie": f"gate_ticket_{room_name}={visitor.cookies()[f'gate_ticket_{room_name}']}", "Gate-Client": "api"}
        async with web.post(f"{gate.url}/_gate/claim/{room_name}", headers=cookie) as answer:
            assert answer.status == 200
            text = (await answer.json())["pass"]
        for other in (first, second):
            assert (await shows(web, other, room_name, text))[0] == 200


async def test_row_39_an_unknown_kid_is_refused_without_a_look(start_gate, new_browser, web, room_name, tmp_path):
    """After a rotation both keys verify; a ring without the old one refuses it; a kid of 8 KiB is just a bad token."""
    running, _, good = await admitted(start_gate, new_browser, room_name, web)
    keys, path = running.gate.parts.keys, tmp_path / "state" / "keys.json"
    rotate(path, Algorithm.HS256, keep_seconds=86_400)
    keys.refresh()
    assert len(keys.tokens().ring.keys) == 2
    assert (await shows(web, running, room_name, good))[0] == 200
    header, claims = (json.loads(base64.urlsafe_b64decode(x + "==")) for x in good.split(".")[:2])
    long = jws({**header, "kid": "k" * 700}, claims, b"x" * 32)
    assert (await shows(web, running, room_name, long)) == (429, "pass-invalid")
    assert (await shows(web, running, room_name, "k" * 7_000)) == (429, "pass-invalid")
    ring = json.loads(path.read_text())
    ring["keys"] = ring["keys"][1:]
    path.write_text(json.dumps(ring))
    keys.refresh()
    assert (await shows(web, running, room_name, good)) == (429, "pass-invalid")


async def test_row_42_only_this_generations_tokens_are_evidence(start_gate, new_browser, web, room_name):
    """A huge place of an old generation, and a forged one of this: the counter stays, the next number is the next."""
    running = await start_gate(mode="hold")
    visitor = new_browser(running)
    assert (await visitor.join(room_name)).json()["position"] == 1
    line, tokens = running.line(room_name), running.gate.parts.keys.tokens()
    now = time.time()
    old, _ = tokens.mint_ticket(room_name, Place(line.generation - 1, line.serving.number, 10**9), "0" * 16, now=now, life=600)
    place = Place(line.generation, line.serving.number, 10**9)
    forged = jws({"alg": "HS256", "kid": tokens.ring.keys[0].kid, "typ": "JWT"},
                 {"kind": "ticket", "room": room_name, "gen": place.generation, "era": place.era, "pos": place.position,
                  "nonce": "0" * 16, "iat": int(now), "exp": int(now) + 600}, b"y" * 32)  # fmt: skip
    fake_pass = jws({"alg": "HS256", "kid": tokens.ring.keys[0].kid, "typ": "JWT"},
                    {"kind": "pass", "room": room_name, "gen": place.generation, "era": place.era, "pos": place.position,
                     "nonce": "0" * 16, "iat": int(now), "exp": int(now) + 600, "cap": int(now) + 600,
                     "jti": pass_id(place, "0" * 16)}, hashlib.sha256(b"y").digest())  # fmt: skip
    for kind, text in (("ticket", old), ("ticket", forged), ("pass", fake_pass)):
        cookie = {"Cookie": f"gate_{kind}_{room_name}={text}"}
        async with web.get(f"{running.url}/_gate/status/{room_name}", headers=cookie) as answer:
            assert answer.status == 200
        async with web.get(f"{running.url}/x", headers={**FETCH, **cookie}) as answer:
            assert answer.status == 429
    after = (await new_browser(running).join(room_name)).json()
    assert (after["position"], after["era"], after["generation"]) == (2, line.serving.number, line.generation)
    assert running.line(room_name).now_serving == 0
