"""Bodies are packed once and chosen by what a client takes; a page nobody shares is sent as it is."""

import gzip

import brotli
import pytest

from gate.web.packed import pack
from tests.harness import PAGE

TEXT = b"the same words, again and again; " * 50


@pytest.mark.parametrize(
    ("accepts", "coding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br; q=0.000, gzip;q=0.0", None),
        ("br;q=0.001", "br"),
        ("deflate, zstd", None),
        ("", None),
        ("identity", None),
        (",;q=,", None),
    ],
)
def test_a_client_gets_the_smallest_it_takes(accepts, coding):
    """Weight 0 means no (RFC 9110 section 12.4.2)."""
    body, headers = pack(TEXT).choose(accepts)
    assert headers.get("Content-Encoding") == coding
    unpack = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[coding]
    assert unpack(body) == TEXT
    assert headers["Vary"] == "Accept-Encoding"


async def test_the_waiting_page_is_packed_once_it_is_asked_for_again(start_gate, web):
    """A newcomer's page of one URL is everybody's; what differs by visitor is in cookies."""
    running = await start_gate(mode="hold")
    bodies = []
    for _ in range(3):
        async with web.get(running.url + "/book?x", headers={**PAGE, "Accept-Encoding": "br"}) as answer:
            body = await answer.read()
            packed = answer.headers.get("Content-Encoding") == "br"
            assert "gate_pre" in answer.headers["Set-Cookie"]
            bodies.append((packed, brotli.decompress(body) if packed else body))
    assert [packed for packed, _ in bodies] == [False, True, True]
    assert bodies[0][1] == bodies[1][1] == bodies[2][1]
    async with web.get(running.url + "/other", headers={**PAGE, "Accept-Encoding": "br"}) as answer:
        assert b"/other" in await answer.read()


async def test_files_come_in_brotli_too(start_gate, web):
    """The page's style sheet, to a browser of these days."""
    running = await start_gate(mode="hold")
    async with web.get(running.url + "/", headers=PAGE) as answer:
        page = (await answer.read()).decode()
    css = next(part for part in page.split('"') if part.startswith("/_gate/static/waiting.") and part.endswith(".css"))
    sizes = {}
    for coding in ("br", "gzip", "identity"):
        async with web.get(running.url + css, headers={"Accept-Encoding": coding}) as answer:
            assert answer.headers.get("Content-Encoding", "identity") == coding
            sizes[coding] = len(await answer.read())
    assert sizes["br"] < sizes["gzip"] < sizes["identity"]
