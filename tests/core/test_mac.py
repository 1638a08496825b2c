"""The MAC is HMAC-SHA256, whatever the key and message; the signer's tokens are what PyJWT makes of them."""

import hmac

import jwt
from hypothesis import given
from hypothesis import strategies as st

from gate.core.decision import Standing, good_until, pass_standing
from gate.core.keyring import Algorithm, Key, KeyRing
from gate.core.mac import mac
from gate.core.place import Place
from gate.core.room import Room
from gate.core.tokens import Pass, Tokens
from tests.core.lines import line as make_line


@given(secret=st.binary(max_size=200), message=st.binary(max_size=500))
def test_it_is_hmac_sha256(secret, message):
    """RFC 2104, for keys shorter and longer than a block."""
    assert mac(secret, message) == hmac.digest(secret, message, "sha256")


def test_pyjwt_reads_what_we_sign():
    """The compact form of a ticket, its header and its claims."""
    ring = KeyRing((Key("k1", b"s" * 32, Algorithm.HS256, 0),), 1)
    text, ticket = Tokens(ring).mint_ticket("r", Place(1, 10, 7), 'a"ü', now=1_000.5, life=60)
    assert jwt.get_unverified_header(text) == {"alg": "HS256", "kid": "k1", "typ": "JWT"}
    key = ring.derive(ring.keys[0], "ticket", "r").verifies
    claims = jwt.decode(text, key, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})
    assert (claims["pos"], claims["nonce"], claims["exp"]) == (7, 'a"ü', 1_060)
    assert Tokens(ring).read_ticket(text, "r") == ticket


times = st.integers(min_value=0, max_value=10_000)


@given(
    issued=times,
    life=times,
    more=times,
    now=st.floats(min_value=-100, max_value=40_000),
    pass_life=st.floats(min_value=60, max_value=9_000),
)
def test_a_pass_is_good_exactly_until_its_end(issued, life, more, now, pass_life):
    """`good_until` says what `pass_standing` says, for every pass and moment; also for one from the future."""
    room = Room(pass_life=pass_life)
    line = make_line()
    admission = Pass("r", Place(line.generation, 1, 1), "n", issued, issued + life, "id", issued + life + more)
    assert (now <= good_until(admission, room)) == (pass_standing(admission, room, line, "GET", now) is Standing.GOOD)
