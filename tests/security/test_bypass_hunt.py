"""The hunt: thousands of spellings of a protected path against five kinds of origin, judged by each origin's own log."""

import asyncio
import itertools
import os
import random
import re
import sys
from urllib.parse import unquote_to_bytes

import pytest

from tests.fuzz.both import exchange
from tests.harness import BytesOrigin

HEADS = ("", "/", "/.", "/x/..", "/open/..", "/open/..;", "/open/..;a=b", "/%2e", "/open/%2e%2e", "/open/.%2e", "/open/%252e%252e", "/open/..%2f", "\\", "/\\",
         "/open\\..", "/open/..%5c", "/open/..%255c", "/;", "/;a=b", "//", "/%2f", "/%252f", "/open/%c0%ae%c0%ae", "/open//..//", "/open/x/../..", "http://x", "/open/../")  # fmt: skip
NAMES = ("book", "Book", "BOOK", "bOoK", "%62ook", "b%6fok", "%62%6f%6f%6b", "%2562ook", "b%256fok", "boo%6B", "%42ook", "book.", "book%20", "book;", "book;x", "book%2e",
         "book%2520", "book%3b", "book%253bx", "book%09", "book%00")  # fmt: skip
TAILS = ("", "/", "/x", "/./x", "//x", "/../book", ";x=1", "/.", "%2f", "%2fx", "%252fx", "\\x", "%5cx", "?a=/open", "#x", "/x.css", "/x;jsessionid=1", "/%2e%2e/book", "/open/..")
SPELLINGS = sorted({head + ("" if head.endswith(("\\", "%2f", "%5c", "%255c", "%252f")) else "/") + name + tail for head, name, tail in itertools.product(HEADS, NAMES, TAILS)})
COUNT = int(os.environ.get("GATE_HUNT", "2100"))


def decoded(path: str, times: int) -> str:
    """Percent-decoded so often."""
    for _ in range(times):
        path = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
    return path


def resolved(path: str) -> str:
    """Slashes merged, dots resolved."""
    kept = []
    for part in path.split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(part)
    return "/" + "/".join(kept)


ORIGINS = {
    "plain": lambda path: resolved(decoded(path, 1)),
    "semicolon-stripping": lambda path: resolved(decoded(re.sub(r";[^/]*", "", path), 1)),
    "double-decoding": lambda path: resolved(decoded(path, 2)),
    "backslash": lambda path: resolved(decoded(path, 1).replace("\\", "/")),
    "case-blind": lambda path: resolved(decoded(path, 1)).lower().rstrip(". "),
}


class Reader(BytesOrigin):
    """An origin that reads paths in its own way, and logs which page it served."""

    def __init__(self, reads):
        self.reads, self.log = reads, []

    async def _serve(self, reader, writer):
        try:
            while True:
                target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode("latin-1")
                self.log.append((target, self.serves(target)))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def serves(self, target) -> bool:
        """Whether this is the protected page, or one beneath it."""
        page = self.reads(re.sub(r"^https?://[^/]*", "", target).partition("?")[0].partition("#")[0])
        return page == "/book" or page.startswith("/book/")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ORIGINS)
async def test_no_spelling_reaches_a_protected_page(start_gate, kind, way):
    """Whatever goes on to this origin is not its protected page; a gate that compares texts would have been passed."""
    async with Reader(ORIGINS[kind]) as origin:
        rooms = [{"name": f"{kind}-{way}", "paths": ["/book"], "mode": "hold"}]
        running = await start_gate(rooms=rooms, origin={"url": origin.url})
        server = running.gate.front._runner.server
        spellings = random.Random(kind).sample(SPELLINGS, min(COUNT, len(SPELLINGS)))
        answers = {}
        for spelling in spellings:
            got = await exchange(server, [f"GET {spelling} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1")])
            status = got[9:12].decode()
            answers[status] = answers.get(status, 0) + 1
        reached = [target for target, protected in origin.log if protected]
        naive = [one for one in spellings if origin.serves(one) and not re.match(r"/book(/|$|\?)", one)]
        sys.stderr.write(f"\n[hunt · {kind} · {way}] {len(spellings):,} spellings: {answers}; forwarded {len(origin.log):,}; "
                         f"protected pages reached {len(reached)}; by comparing texts it would have been {len(naive):,}\n")  # fmt: skip
    assert reached == []
    assert len(naive) > 100, "the hunt can find something"
    assert set(answers) <= {"200", "400", "429"}
