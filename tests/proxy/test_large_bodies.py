"""A gigabyte up and a gigabyte down leave the gate's memory flat: back-pressure both ways."""

import asyncio
import hashlib
import re
from pathlib import Path

import pytest
from aiohttp import web as server

from tests.laws.test_law_1_unique import gate_processes

GIB = 1024**3
CHUNK = bytes(range(256)) * 1024  # 256 KiB
RSS_GROWTH_MAX_MIB = 24


def resident_mib(pid: int) -> float:
    """Peak resident memory of a process."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


@pytest.mark.slow
@pytest.mark.timeout(170)
async def test_a_gigabyte_each_way_leaves_memory_flat(store_url, tmp_path, room_name, origin, web):
    """Upload to a slow reader and download to a slow reader; every byte arrives."""
    digests = {}

    @origin.on("/up")
    async def up(request):
        digest, size = hashlib.blake2b(), 0
        async for chunk in request.content.iter_any():
            digest.update(chunk)
            size += len(chunk)
        digests["up"] = digest.hexdigest()
        return server.json_response({"size": size})

    @origin.on("/down")
    async def down(request):
        stream = server.StreamResponse(headers={"Content-Length": str(GIB)})
        await stream.prepare(request)
        for _ in range(GIB // len(CHUNK)):
            await stream.write(CHUNK)
        return stream

    settings = {"GATE_ROOM_MODE": "off"}
    async with gate_processes(1, store_url, tmp_path, room_name, origin=origin.url, **settings) as (urls, pids, _):
        await (await web.get(urls[0] + "/warm")).read()
        before = resident_mib(pids[0])

        async def parts():
            for _ in range(GIB // len(CHUNK)):
                yield CHUNK

        async with web.post(urls[0] + "/up", data=parts(), timeout=None) as answer:
            assert (await answer.json())["size"] == GIB
        digest, size = hashlib.blake2b(), 0
        async with web.get(urls[0] + "/down", timeout=None) as answer:
            async for chunk in answer.content.iter_any():
                digest.update(chunk)
                size += len(chunk)
                if size < 32 * len(CHUNK):
                    await asyncio.sleep(0.02)  # a slow start: what is sent meanwhile must wait at the origin
        assert size == GIB
        assert digest.hexdigest() == digests["up"]
        assert resident_mib(pids[0]) - before < RSS_GROWTH_MAX_MIB
