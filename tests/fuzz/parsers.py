"""What a fuzzer calls: one function a parser. It takes bytes, and raises for anything that must not be."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from urllib.parse import unquote_to_bytes

from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError

from gate.core.errors import RefusalError
from gate.core.headers import strip_own_cookies, to_origin
from gate.core.keyring import Algorithm, Key, KeyRing
from gate.core.place import Place
from gate.core.pointer import Pointer
from gate.core.room import Bypass, Room
from gate.core.target import parse_host, parse_target, readings, route
from gate.core.tokens import PreTicket, Tokens
from gate.proxy.heads import Chunks, OddAnswerError, read_head
from gate.web.cookies import parse_cookies
from gate.web.plain import pairs_of
from gate.web.proofs import proves
from gate.web.waiting import safe_back

Parser = Callable[[bytes], None]
NOW, ROOM = 1_800_000_000.0, "sale"
PLACE, NONCE = Place(1_700_000_000_000, 3, 77), "0123456789abcdef"
_ROOMS = (Room(name=ROOM, paths=("/book",), bypass=(Bypass(paths=("/book/open",)),)), Room(name="other", paths=("/other",)))


@cache
def tokens() -> Tokens:
    """The same keys in every run, so that what was found is found again."""
    return Tokens(KeyRing((Key("k1", b"s" * 32, Algorithm.HS256, 1_000), Key("k2", b"t" * 32, Algorithm.HS256, 2_000)), 1_000))


@cache
def good() -> tuple[str, str, str]:
    """A ticket, a pass and a pre-ticket that are."""
    made = tokens()
    ticket, _ = made.mint_ticket(ROOM, PLACE, NONCE, now=NOW, life=600)
    admission = made.mint_pass(ROOM, PLACE, NONCE, now=NOW, life=600, cap=NOW + 3_600)
    return ticket, admission, made.mint_pre_ticket(ROOM, PreTicket("g1", int(NOW), 5), NOW)


def target(data: bytes) -> None:
    """Refused, or goes on as sent; and what a plain decoder reads as `/book` never falls to no room."""
    text = data.decode("latin-1")
    try:
        found = parse_target(text, "x", "GET")
        where = route(_ROOMS, "x", found.path, "GET", None)
    except RefusalError:
        return
    assert found.raw in text or found.raw.removeprefix("/") in text, "an absolute form may have no path"
    assert found.path in readings(found.path)
    once = unquote_to_bytes(found.path.encode("latin-1")).decode("latin-1")
    for reading in (found.path, once, unquote_to_bytes(once.encode("latin-1")).decode("latin-1")):
        first = next((part for part in reading.replace("\\", "/").split("/") if part), "").partition(";")[0]
        if first.lower().rstrip(". ") == "book" and ".." not in reading:
            assert where.room is not None, (text, reading)
    assert safe_back(found.raw).startswith("/")


def host(data: bytes) -> None:
    """Refused, or a name without port, in lower case."""
    with suppress(RefusalError):
        name = parse_host(data.decode("latin-1"))
        assert name == name.lower()
        assert not set(name) & set("/?#@ \r\n\t\x00")


def cookie(data: bytes) -> None:
    """Few values a name; none of our cookies is left for the origin, and the others are untouched."""
    text = data.decode("latin-1")
    for values in parse_cookies(text.split("\n")).values():
        assert len(values) <= 4
    left = strip_own_cookies(text)
    names = [pair.strip().partition("=")[0].lower() for pair in left.split(";")]
    for prefix in ("", "__host-", "__secure-"):
        for kind in ("ticket", "pass", "pre"):
            assert not [name for name in names if name.startswith(f"{prefix}gate_{kind}_")], left
    foreign = [pair.strip() for pair in text.split(";") if "gate_" not in pair.lower() and pair.strip()]
    assert [pair.strip() for pair in left.split(";") if pair.strip() and "gate_" not in pair.lower()] == foreign


def token(data: bytes) -> None:
    """Whatever is taken for a token is, to the letter, one of those that were made."""
    text, made = data.decode("latin-1"), tokens()
    ticket, admission, pre = good()
    made._memory._young.clear()
    made._memory._old.clear()
    for found, whole in (
        (made.read_ticket(text, ROOM), ticket),
        (made.read_pass(text, ROOM), admission),
        (made.read_pre_ticket(text, ROOM, NOW), pre),
    ):
        assert found is None or text == whole, text
    assert made.read_pass(text, "other") is None
    assert not proves(made, ROOM, PreTicket("g1", int(NOW), 5), text)


def header(data: bytes) -> None:
    """What is plain to a lane, the parser reads the same; what goes to the origin has none of our names."""
    block = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    pairs = pairs_of(block)
    # The lanes ask for one Host that is one, and so does the parser.
    hosts = [value for name, value in pairs or () if name.lower() == b"host"]
    if pairs is not None and len(hosts) == 1 and _is_host(hosts[0]):
        whole = b"GET / HTTP/1.1\r\n" + block
        messages, upgraded, tail = _aiohttp(whole)
        assert len(messages) == 1, whole
        assert not upgraded
        assert not tail
        assert [(name.lower(), value) for name, value in messages[0].raw_headers] == [(name.lower(), value) for name, value in pairs], whole
    named = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in block.decode("latin-1").split("\r\n") if ":" in line]
    with suppress(RefusalError):
        for name, value in to_origin(named, trusted=False):
            plain = name.lower().replace("_", "-")
            assert not plain.startswith(("gate-", "x-forwarded-")), name
            assert plain not in ("forwarded", "connection", "transfer-encoding", "upgrade", "te"), name
            if plain == "cookie":
                cookie(value.encode("latin-1"))


def _is_host(value: bytes) -> bool:
    try:
        parse_host(value.decode("latin-1"))
    except RefusalError:
        return False
    return True


def _aiohttp(data: bytes):
    protocol = SimpleNamespace(_reading_paused=False, transport=None)
    parser = HttpRequestParser(protocol, _loop(), 2**16, max_line_size=65_000, max_headers=1_000, max_field_size=65_000)
    try:
        messages, upgraded, tail = parser.feed_data(data)
    except HttpProcessingError as error:
        raise AssertionError("plain to a lane and not to the parser") from error
    return [message for message, _ in messages], upgraded, tail


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def answer(data: bytes) -> None:
    """An odd answer is said to be; a chunked one reads the same however it is cut."""
    head, _, rest = data.partition(b"\r\n\r\n")
    raw = head + b"\r\n\r\n"
    try:
        found = read_head(raw)
    except OddAnswerError:
        return
    assert 100 <= found.status < 1_000
    lengths = [value for name, value in found.headers if name.lower() == "content-length"]
    codings = [value for name, value in found.headers if name.lower() == "transfer-encoding"]
    assert len(lengths) + len(codings) <= 1
    if codings and found.framing.name == "CHUNKED":
        assert _unchunked(raw, [rest]) == _unchunked(raw, [rest[i : i + 1] for i in range(len(rest))])


def _unchunked(raw: bytes, pieces: list[bytes]) -> tuple[bytes, bool] | None:
    chunks, body = Chunks(raw), b""
    for piece in pieces:
        try:
            body += chunks.feed(piece)
        except OddAnswerError:
            return None
        if chunks.ended:
            break
    return (body, True) if chunks.ended else (body, False)


def pointer(data: bytes) -> None:
    """A pointer document is one, or is refused in words."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    with suppress(KeyError, TypeError, ValueError):
        Pointer.read(document)


_POINTER = {"room": ROOM, "generation": 1, "era": 1, "mode": "auto", "now_serving": 1, "issued": 5, "eras": [[2, 3]], "hold_until": None,
            "release_rate": 1.0, "resume_rate": 1.0, "time": 1.0, "at": 1.0, "lease_until": 9.0,
            "poll": {"min": 2, "max": 30, "fraction": 0.1}, "message": ""}  # fmt: skip

PARSERS: dict[str, tuple[Parser, tuple[bytes, ...]]] = {
    "target": (target, (b"/book", b"/open/..;/book", b"/%2562ook?x=/open", b"http://x/book;a=b", b"/\\book%2f..%5c", b"/%c0%ae/book")),
    "host": (host, (b"shop.example:8080", b"[::1]:80", b"A.B.", b"x:99999")),
    "cookie": (cookie, (b'a=b; gate_pass_sale=x.y.z; c="d"', b"__Host-gate_ticket_sale=a; gate_pre_sale=b;; =; gate_pass_sale")),
    "token": (token, tuple(text.encode() for text in good())),
    "header": (header, (b"Host: x\r\nUser-Agent: y\r\nCookie: gate_pass_a=b; c=d\r\n\r\n", b"Connection: keep-alive, Cookie\r\nHost: x\r\nX_Forwarded_For: 1\r\nGate-Position: 2\r\n\r\n")),
    "answer": (answer, (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n", b"HTTP/1.0 101 X\r\nUpgrade: x\r\n\r\n")),
    "pointer": (pointer, (json.dumps(_POINTER).encode(),)),
}  # fmt: skip
WORDS = (
    b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"\t", b";", b"..", b"//", b"\\", b"%2f", b"%5C", b"%2e", b"%252e", b"%00", b"%c0%af", b"%0a", b"?", b"#", b"=",
    b"gate_pass_sale=", b"book", b"open", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"0\r\n\r\n", b"f" * 17, b"-1", b"1e9", b"NaN", b"[" * 50, b"\xff", b"\xc3\xa9",
)  # fmt: skip


def mutate(dice, seed: bytes, words=WORDS, most: int = 6) -> bytes:
    """Some bytes changed, removed, doubled, swapped in case, or words put between."""
    data = bytearray(seed)
    for _ in range(dice.randint(1, most)):
        place = dice.randrange(len(data) + 1)
        match dice.randrange(6):
            case 0 if place < len(data):
                data[place] = dice.randrange(256)
            case 1:
                del data[place : place + dice.randint(1, 4)]
            case 2:
                data[place:place] = dice.choice(words)
            case 3:
                other = dice.randrange(len(data) + 1)
                data[place:place] = data[min(place, other) : max(place, other)][:40]
            case 4 if place < len(data):
                data[place] ^= 32
            case _:
                data[place : place + 1] = dice.choice(words)
    return bytes(data)


def run(name: str, dice, *, seconds: float = 0.0, count: int = 0) -> int:
    """Mutate and call for so long, or so often; the number of calls. Raises for what must not be."""
    parser, seeds = PARSERS[name]
    ends, done, pool = time.monotonic() + seconds, 0, list(seeds)
    while done < count or time.monotonic() < ends:
        data = mutate(dice, dice.choice(pool))
        try:
            parser(data)
        except Exception as error:
            error.add_note(f"{name}: {data!r}")
            raise
        done += 1
        if done % 50 == 0 and len(data) < 2_000:
            pool[len(seeds) :] = [*pool[len(seeds) :], data][-200:]
    return done
