"""Tickets, passes and pre-tickets: what the gate signs, and what a string from outside proves.

Tickets and passes are JWTs (RFC 7519) whose algorithm is fixed by the key ring, never by the token; kind and
room are claims and part of the key's derivation. All times are judged here, in the store's clock, with a leeway
for gates whose clocks differ; PyJWT's own clock checks are off. A pre-ticket is a bare HMAC: it proves only that
a client keeps cookies, and is good for one number.

Nothing here knows of cookies; a bad token is `None`, and why it is bad is nobody's business outside.
"""

import base64
import functools
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import jwt

from gate.core.keyring import Key, KeyRing
from gate.core.mac import mac
from gate.core.place import Place, pass_id
from gate.core.recent import Recent

LEEWAY_SECONDS = 5.0
TOKEN_LENGTH_MAX = 1_024
PRE_TICKET_LIFE_SECONDS = 120
# Serials of one gate and one such stretch share a bitmap in the store.
PRE_BUCKET_SECONDS = 60
_INTEGER_MAX = 2**53
_TICKET_CLAIMS = ("kind", "room", "gen", "era", "pos", "nonce", "iat", "exp")
_PASS_CLAIMS = (*_TICKET_CLAIMS, "jti", "cap")
_PRE = re.compile(r"([A-Za-z0-9_-]{1,32})\.([a-z0-9]{1,16})\.(\d{1,12})\.(\d{1,9})\.([A-Za-z0-9_-]{22})")
_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)")
_OPTIONS: Any = {
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
    "verify_iss": False,
    "enforce_minimum_key_length": True,
}


class Ticket(NamedTuple):
    """A signed place. Times in Unix seconds."""

    room: str
    place: Place
    nonce: str
    issued_at: int
    expires: int


@dataclass(frozen=True, slots=True)
class Pass:
    """A signed admission: `identity` and the base of `cap` are pure functions of the ticket. Unix seconds."""

    room: str
    place: Place
    nonce: str
    issued_at: int
    expires: int
    identity: str
    cap: int
    mark: str = ""
    """What binds it to a network; empty if nothing does."""


class PreTicket(NamedTuple):
    """Proof that a client keeps cookies: serial `serial` of gate `gate` in minute `bucket`."""

    gate: str
    issued_at: int
    serial: int

    @property
    def bucket(self) -> int:
        """The number of the stretch whose bitmap holds this serial."""
        return self.issued_at // PRE_BUCKET_SECONDS


class Tokens:
    """Mints and verifies with one key ring; remembers the digests of what it has verified.

    `remembered` bounds that memory, in tokens: a pass is verified once a gate and not once a request. Only good
    tokens are remembered, so nobody can fill it without having been dealt them.
    """

    def __init__(self, ring: KeyRing, *, remembered: int = 100_000) -> None:
        self.ring = ring
        self._memory: Recent[bytes, Ticket | Pass] = Recent(remembered)

    def mint_ticket(self, room: str, place: Place, nonce: str, *, now: float, life: float) -> tuple[str, Ticket]:
        """A ticket for a place, good for `life` seconds: its text, and what that proves."""
        expires = int(now + life)
        text = self._encode("ticket", room, place, nonce, now, expires, {})
        return text, Ticket(room, place, nonce, int(now), expires)

    def mint_pass(
        self, room: str, place: Place, nonce: str, *, now: float, life: float, cap: float, mark: str = ""
    ) -> str:
        """The pass of a place: good for `life` seconds, never past `cap` (Unix seconds); `mark` binds it."""
        extra = {"jti": pass_id(place, nonce), "cap": int(cap)} | ({"net": mark} if mark else {})
        return self._encode("pass", room, place, nonce, now, int(min(now + life, cap)), extra)

    def read_ticket(self, text: str, room: str) -> Ticket | None:
        """The ticket this text proves for `room`, whatever its age; None if it proves nothing."""
        found = self._read(text, "ticket", room)
        return found if isinstance(found, Ticket) else None

    def read_pass(self, text: str, room: str) -> Pass | None:
        """The pass this text proves for `room`, whatever its age; None if it proves nothing."""
        found = self._read(text, "pass", room)
        return found if isinstance(found, Pass) else None

    def mint_pre_ticket(self, room: str, pre: PreTicket, now: float) -> str:
        """The text of a pre-ticket."""
        key = self.ring.signer(now)
        body = f"{key.kid}.{pre.gate}.{pre.issued_at}.{pre.serial}"
        return f"{body}.{self._mac(key, room, body)}"

    def read_pre_ticket(self, text: str, room: str, now: float) -> PreTicket | None:
        """The pre-ticket this text proves, if it is not older than its life."""
        form = _PRE.fullmatch(text)
        key = self.ring.find(form[1]) if form else None
        if form is None or key is None:
            return None
        if not hmac.compare_digest(form[5], self._mac(key, room, text[: form.end(4)])):
            return None
        pre = PreTicket(form[2], int(form[3]), int(form[4]))
        age = now - pre.issued_at
        return pre if -LEEWAY_SECONDS <= age <= PRE_TICKET_LIFE_SECONDS else None

    def proof_key(self, room: str, now: float) -> bytes:
        """What signs puzzles for a room's newcomers now."""
        return self._proof_key(self.ring.signer(now), room)

    def proof_keys(self, room: str) -> list[bytes]:
        """All that have."""
        return [self._proof_key(key, room) for key in self.ring.keys]

    def _proof_key(self, key: Key, room: str) -> bytes:
        secret = self.ring.derive(key, "proof", room).signs
        assert isinstance(secret, bytes)  # noqa: S101  (HMACs whatever signs passes)
        return secret

    def _mac(self, key: Key, room: str, body: str) -> str:
        secret = self.ring.derive(key, "pre", room).signs
        assert isinstance(secret, bytes)  # noqa: S101  (pre-tickets are HMACs whatever signs passes)
        return _base64url(mac(secret, body.encode())[:16]).decode()

    def _encode(
        self, kind: str, room: str, place: Place, nonce: str, now: float, expires: int, extra: dict[str, Any]
    ) -> str:
        key = self.ring.signer(now)
        derived = self.ring.derive(key, kind, room)
        claims = {
            "kind": kind,
            "room": room,
            "gen": place.generation,
            "era": place.era,
            "pos": place.position,
            "nonce": nonce,
            "iat": int(now),
            "exp": expires,
            **extra,
        }
        if isinstance(derived.signs, bytes):
            return _hs256(key.kid, claims, derived.signs)
        return jwt.encode(claims, derived.signs, algorithm=derived.algorithm.value, headers={"kid": key.kid})

    def _read(self, text: str, kind: str, room: str) -> Ticket | Pass | None:
        if not text or len(text) > TOKEN_LENGTH_MAX or not text.isascii():
            return None
        digest = hashlib.blake2b(f"{kind}:{room}:{text}".encode(), digest_size=16).digest()
        known = self._memory.get(digest)
        if known is None:
            known = self._verify(text, kind, room)
            if known is not None:
                self._memory.put(digest, known)
        return known

    def _verify(self, text: str, kind: str, room: str) -> Ticket | Pass | None:
        if not _is_canonical(text):
            return None
        try:
            header = jwt.get_unverified_header(text)
            key = self.ring.find(header.get("kid", ""))
            if key is None or set(header) != {"alg", "kid", "typ"}:
                return None
            derived = self.ring.derive(key, kind, room)
            required = _PASS_CLAIMS if kind == "pass" else _TICKET_CLAIMS
            options: Any = {**_OPTIONS, "require": list(required)}
            checking: Any = derived.verifies
            claims = jwt.decode(text, checking, algorithms=[derived.algorithm.value], options=options)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        if claims["kind"] != kind or claims["room"] != room:
            return None
        return _ticket_or_pass(claims)


def _is_canonical(text: str) -> bool:
    """Whether a text is the one spelling of its bytes: PyJWT reads padding too, and bits that belong to no byte."""
    form = _JWS.fullmatch(text)
    if form is None:
        return False
    try:
        signature = base64.urlsafe_b64decode(form[1] + "=" * (-len(form[1]) % 4))
    except ValueError:
        return False
    return _base64url(signature).decode() == form[1]


def _hs256(kid: str, claims: dict[str, Any], secret: bytes) -> str:
    """A JWT in compact form (RFC 7515 section 7.1), HS256: what PyJWT would make, without its generality."""
    body = _base64url(_to_json(claims).encode())
    signed = _hs256_header(kid) + b"." + body
    return (signed + b"." + _base64url(mac(secret, signed))).decode()


_to_json = json.JSONEncoder(separators=(",", ":")).encode


@functools.lru_cache(maxsize=64)
def _hs256_header(kid: str) -> bytes:
    return _base64url(_to_json({"alg": "HS256", "kid": kid, "typ": "JWT"}).encode())


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _ticket_or_pass(claims: dict[str, Any]) -> Ticket | Pass | None:
    numbers = [claims[name] for name in ("gen", "era", "pos", "iat", "exp")]
    numbers.append(claims.get("cap", 0))
    if not all(type(number) is int and 0 <= number < _INTEGER_MAX for number in numbers):
        return None
    generation, era, position, issued_at, expires, cap = numbers
    place = Place(generation, era, position)
    nonce = claims["nonce"]
    if position < 1 or type(nonce) is not str:
        return None
    if claims["kind"] == "ticket":
        return Ticket(claims["room"], place, nonce, issued_at, expires)
    mark = claims.get("net", "")
    if claims["jti"] != pass_id(place, nonce) or expires > cap or type(mark) is not str:
        return None
    return Pass(claims["room"], place, nonce, issued_at, expires, claims["jti"], cap, mark)


def network_mark(identity: str, network: str) -> str:
    """What binds the pass of this identity to a network: it tells whoever does not hold the pass nothing."""
    return _base64url(hashlib.blake2b(network.encode(), key=identity.encode()[:64], digest_size=9).digest()).decode()
