"""Whole requests by a grammar: mostly sound, now and then odd where servers have read differently, then mutated."""

from tests.fuzz.parsers import mutate

# Replaced by tokens that are good, each way its own: what is spent by one must not be missed by the other.
PRE, TICKET, PASS = b"<<pre-ticket>>", b"<<ticket>>", b"<<pass>>"
METHODS = (b"GET",) * 12 + (b"POST",) * 6 + (b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE", b"CONNECT", b"BREW", b"get", b"PATCH")
TARGETS = (
    b"/_gate/now/ROOM", b"/_gate/join/ROOM", b"/_gate/join/ROOM", b"/_gate/status/ROOM", b"/_gate/claim/ROOM", b"/_gate/livez", b"/_gate/nothing",
    b"/_gate/now/nowhere", b"/book", b"/book?a=b", b"/book/x.css", b"/", b"/open/..;/book", b"//book", b"/b%6fok", b"/book%2fx", b"/x#y", b"*",
    b"http://x/book", b"http://evil/book", b"/_GATE/now/ROOM", b"/_gate/./now/ROOM", b"/book%00", b"/\\book", b"/a?" + b"q" * 300,
)  # fmt: skip
VERSIONS = (b"HTTP/1.1",) * 20 + (b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ")
HOSTS = ((b"Host: x",),) * 16 + ((b"Host: shop.example:8080",), (), (b"Host: x", b"Host: x"), (b"Host: a/b",), (b"Host: x:99999",), (b"host:x",), (b"Host : x",))
LINES = (
    b"User-Agent: Mozilla/5.0", b"Accept: text/html", b"Accept: */*", b"Accept-Encoding: gzip, br", b"Accept-Language: de", b"Cookie: a=b", b"Cookie: gate_pre_ROOM=" + PRE,
    b"Cookie: a=b; gate_ticket_ROOM=" + TICKET, b"Cookie: gate_pass_ROOM=" + PASS, b"Cookie: gate_pass_ROOM=x.y.z", b"Gate-Ticket: " + PRE, b"Gate-Pass: " + PASS, b"Gate-Client: api",
    b"Origin: http://x", b"Origin: http://evil", b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document",
    b"Connection: keep-alive", b"Connection: close", b"Connection: keep-alive, Host", b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c", b"HTTP2-Settings: AAMA",
    b"Content-Length: 0", b"Content-Length: 3", b"Content-Length: +3", b"Content-Length: 3, 3", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity",
    b"Expect: 100-continue", b"TE: trailers", b"Trailer: X-A", b"Early-Data: 1", b"Range: bytes=0-1", b'If-None-Match: "x"', b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Proto: https",
    b"X_Forwarded_For: 1", b"Gate-Position: 1", b"X-Original-URL: /open", b"Content-Type: application/x-www-form-urlencoded", b"X-A: b\r\n c", b"X-A : b", b": b", b"nonsense",
    b"X-A: \x00", b"X-A: \xff", b"X-A:", b"X-Long: " + b"a" * 500,
)  # fmt: skip
BODIES = (b"",) * 8 + (b"abc", b"next=%2fbook", b"3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX-A: b\r\n\r\n", b"3;x=y\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b"GET /book HTTP/1.1\r\nHost: x\r\n\r\n")
_WORDS = (b"\r\n", b":", b" ", b"\0", b"\n", b"\r", b"\t", b";", b"%2f", b"..", b"\r\nContent-Length: 5", b"\r\nTransfer-Encoding: chunked", b"\r\nHost: y", b"\xff", b"\r\n\r\n")


SOUND_TARGETS = (b"/_gate/now/ROOM", b"/_gate/join/ROOM", b"/_gate/status/ROOM", b"/book?a=b", b"/free/x", b"/free/y?a=%20b", b"/free/", b"/free/..;/book")


def request(dice, room: str) -> bytes:
    """One request, or two on one connection; half of them sound in all but one thing, two in three mutated."""
    data = b"".join(_one(dice) for _ in range(1 if dice.random() < 0.8 else 2)).replace(b"ROOM", room.encode())
    return mutate(dice, data, _WORDS, most=dice.choice((1, 1, 2, 4))) if dice.random() < 0.66 else data


def _one(dice) -> bytes:
    if dice.random() < 0.6:
        target = dice.choice(SOUND_TARGETS)
        method = b"POST" if b"join" in target else b"GET"
        lines = [b"Host: x", *dice.sample(LINES[:16], dice.choice((0, 1, 2, 3))), *dice.sample(LINES, dice.choice((0, 0, 0, 1)))]
        return b"\r\n".join([method + b" " + target + b" HTTP/1.1", *lines, b"", b""])
    lines = [*dice.choice(HOSTS), *dice.sample(LINES, dice.choice((0, 1, 2, 2, 3, 4, 6)))]
    dice.shuffle(lines)
    first = dice.choice(METHODS) + b" " + dice.choice(TARGETS) + b" " + dice.choice(VERSIONS)
    return b"\r\n".join([first, *lines, b"", dice.choice(BODIES)])
