"""Tokens: what the gate signs is believed, and nothing else is."""

import base64
import json
import time

import jwt
import pytest

from gate.core.keyring import Algorithm, Key, KeyRing, dump_ring, load_ring
from gate.core.place import Place, pass_id
from gate.core.tokens import PreTicket, Tokens

NOW = 1_700_000_000.0
PLACE = Place(1, 10, 7)


def ring(*kids: str, algorithm: Algorithm = Algorithm.HS256) -> KeyRing:
    """A ring of keys that differ."""
    keys = tuple(Key(kid, kid.encode() * 40, algorithm, index * 1_000_000) for index, kid in enumerate(kids))
    return KeyRing(keys, 1_000)


@pytest.fixture(params=[Algorithm.HS256, Algorithm.EDDSA])
def tokens(request):
    """Tokens of either pass algorithm."""
    return Tokens(ring("k", algorithm=request.param))


def a_pass(tokens: Tokens, room: str = "r") -> str:
    """A pass for the place."""
    return tokens.mint_pass(room, PLACE, "n", now=NOW, life=600, cap=NOW + 3600)


def test_what_is_minted_is_read_back(tokens):
    """Ticket and pass round trip; the pass's identity is a function of the place."""
    ticket = tokens.read_ticket(tokens.mint_ticket("r", PLACE, "n", now=NOW, life=60)[0], "r")
    assert (ticket.place, ticket.nonce, ticket.expires) == (PLACE, "n", int(NOW) + 60)
    admission = tokens.read_pass(a_pass(tokens), "r")
    assert (admission.identity, admission.cap) == (pass_id(PLACE, "n"), int(NOW) + 3600)


def test_a_pass_never_outlives_its_cap(tokens):
    """exp = min(now + life, cap)."""
    text = tokens.mint_pass("r", PLACE, "n", now=NOW, life=600, cap=NOW + 10)
    assert tokens.read_pass(text, "r").expires == int(NOW) + 10


def test_kind_and_room_cannot_be_swapped(tokens):
    """A ticket is no pass, and one room's is not another's."""
    ticket, _ = tokens.mint_ticket("r", PLACE, "n", now=NOW, life=60)
    assert tokens.read_pass(ticket, "r") is None
    assert tokens.read_ticket(a_pass(tokens), "r") is None
    assert tokens.read_pass(a_pass(tokens), "other") is None


def test_every_flipped_signature_character_is_refused(tokens):
    """Threat 1: forged."""
    text = a_pass(tokens)
    head, body, signature = text.split(".")
    for index in range(len(signature) - 1):  # the last character has bits that mean nothing
        flipped = "A" if signature[index] != "A" else "B"
        assert tokens.read_pass(f"{head}.{body}.{signature[:index]}{flipped}{signature[index + 1 :]}", "r") is None


def test_algorithm_confusion_is_refused(tokens):
    """Threat 2: `none` in any case, another HMAC, the public key as a secret, foreign header fields."""
    claims = jwt.decode(a_pass(tokens), options={"verify_signature": False})
    derived = tokens.ring.derive(tokens.ring.keys[0], "pass", "r")
    secret = derived.verifies if isinstance(derived.verifies, bytes) else derived.verifies.public_bytes_raw()

    def part(data: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()

    for name in ("none", "None", "NONE", "nOnE"):
        assert tokens.read_pass(f"{part({'alg': name, 'kid': 'k', 'typ': 'JWT'})}.{part(claims)}.", "r") is None
    for algorithm in ("HS512", "HS384") + (() if isinstance(derived.verifies, bytes) else ("HS256",)):
        forged = jwt.encode(claims, secret * 3, algorithm=algorithm, headers={"kid": "k"})
        assert tokens.read_pass(forged, "r") is None
    for extra in ({"crit": ["x"]}, {"jku": "http://127.0.0.1:1/"}, {"jwk": {}}, {"x5u": "http://127.0.0.1:1/"}):
        signed = jwt.encode(claims, derived.signs, algorithm=derived.algorithm.value, headers={"kid": "k", **extra})
        assert tokens.read_pass(signed, "r") is None
    for kid in ("../../dev/null", "x" * 8192, "", "other"):
        signed = jwt.encode(claims, derived.signs, algorithm=derived.algorithm.value, headers={"kid": kid})
        assert tokens.read_pass(signed, "r") is None


@pytest.mark.parametrize(
    "change",
    [{"exp": None}, {"exp": "1790000000"}, {"exp": 1e308}, {"exp": 10**30}, {"pos": -1}, {"pos": 0}, {"pos": True},
     {"gen": 1.5}, {"nonce": 3}, {"jti": "x"}, {"cap": None}, {"kind": "ticket"}, {"room": "x"}, {"iat": "now"}],
)  # fmt: skip
def test_claims_of_the_wrong_form_are_refused(change):
    """Even validly signed: every claim there, whole, in bounds and of a piece."""
    tokens = Tokens(ring("k"))
    claims = jwt.decode(a_pass(tokens), options={"verify_signature": False}) | change
    claims = {key: value for key, value in claims.items() if value is not None}
    signed = jwt.encode(claims, tokens.ring.derive(tokens.ring.keys[0], "pass", "r").signs, headers={"kid": "k"})
    assert tokens.read_pass(signed, "r") is None


def test_garbage_is_no_token():
    """Whatever comes, the answer is None."""
    tokens = Tokens(ring("k"))
    for text in ("", ".", "..", "a.b.c", "é.é.é", "x" * 5000, "eyJ9.eyJ9.", "\x00" * 40):
        assert tokens.read_pass(text, "r") is None
        assert tokens.read_pre_ticket(text, "r", NOW) is None


def test_rotation_keeps_old_tokens_and_forgets_removed_keys():
    """An old kid verifies as long as it is in the ring; a removed one is refused."""
    old = a_pass(Tokens(ring("a")))
    assert Tokens(ring("a", "b")).read_pass(old, "r") is not None
    assert Tokens(ring("b")).read_pass(old, "r") is None


def test_a_new_key_signs_only_once_every_gate_may_have_read_it():
    """Five seconds after it was made."""
    two = ring("a", "b")  # b was made at 1,000 s
    assert two.signer(1_004.0).kid == "a"
    assert two.signer(1_005.0).kid == "b"


def test_a_verified_token_is_remembered_and_the_memory_is_bounded(monkeypatch):
    """A pass is verified once a gate; good tokens only, at most as many as set."""
    tokens = Tokens(ring("k"), remembered=3)
    texts = [tokens.mint_ticket("r", Place(1, 10, position), "n", now=NOW, life=60)[0] for position in range(1, 6)]
    for text in texts:
        assert tokens.read_ticket(text, "r")
    assert tokens.read_ticket(texts[0][:-2] + "xx", "r") is None
    assert len(tokens._memory) == 3
    monkeypatch.setattr(jwt, "decode", None)
    assert tokens.read_ticket(texts[-1], "r") is not None


def test_pre_tickets_prove_and_lapse():
    """Good for two minutes, for one room, unforgeable."""
    tokens = Tokens(ring("k"))
    pre = PreTicket("abcd", int(NOW), 5)
    text = tokens.mint_pre_ticket("r", pre, NOW)
    assert tokens.read_pre_ticket(text, "r", NOW + 119) == pre
    assert tokens.read_pre_ticket(text, "r", NOW + 121) is None
    assert tokens.read_pre_ticket(text, "r", NOW - 6) is None
    assert tokens.read_pre_ticket(text, "x", NOW) is None
    assert tokens.read_pre_ticket(text.replace(".5.", ".6."), "r", NOW) is None


def test_a_ring_survives_its_file_and_hides_its_secrets():
    """dump and load agree; repr shows no secret; faults are told without values."""
    two = ring("a", "b")
    again = load_ring(json.loads(json.dumps(dump_ring(two))))
    assert [key.secret for key in again.keys] == [key.secret for key in two.keys]
    assert "secret" not in repr(two.keys[0])
    for broken in ({}, {"keys": []}, {"created_ms": 1, "keys": [{"kid": "x"}]}, {"created_ms": 1, "keys": []}):
        with pytest.raises(ValueError, match="."):
            load_ring(broken)


def test_verification_uses_no_clock_of_its_own(monkeypatch):
    """The store's time is handed in; a gate whose own clock is off still reads tokens."""
    tokens = Tokens(ring("k"))
    text = a_pass(tokens)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert tokens.read_pass(text, "r") is not None
