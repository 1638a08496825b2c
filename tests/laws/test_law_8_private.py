"""Law 8: no address, user agent or identity in the store; no token, cookie or secret in a log."""

import io
import logging

from gate.telemetry import _JsonFormatter, start_logging
from tests.harness import FETCH


async def test_law_8_private_logs_and_store(start_gate, new_browser, web, origin, room_name, connection):
    """A whole visit, with refusals and faults: none of its secrets is in the log, nothing of the visitor in the store."""
    written = io.StringIO()
    start_logging(written, logging.DEBUG)
    running = await start_gate(mode="hold", release_rate="100/s")
    visitor = new_browser(running)
    agent = {"User-Agent": "SecretAgent/7", "Authorization": "Basic c2VjcmV0"}
    await visitor.get("/book?token=hunter2", **agent)
    await visitor.send("POST", f"/_gate/join/{room_name}", headers=agent)
    secrets = list(visitor.cookies().values())
    await running.patch(web, room_name, mode="auto")
    await running.until_seen(room_name, lambda line: line.now_serving == 1)
    await visitor.get("/book?token=hunter2", **agent)
    secrets += list(visitor.cookies().values())
    await visitor.send("GET", "/book%00?token=hunter2", headers=agent)
    await web.get(running.url + "/x", headers={**FETCH, "Cookie": f"gate_pass_{room_name}=forged.token.x"})
    text = written.getvalue()
    assert '"event":"joined"' in text
    assert '"event":"claimed"' in text
    assert '"reason":"bad-request"' in text
    for secret in [*secrets, "hunter2", "SecretAgent", "c2VjcmV0", "127.0.0.1", "forged.token", "secret-of-staff"]:
        assert secret not in text
    dump = []
    for key in await connection.command("KEYS", f"*{{{room_name}}}*"):
        kind = await connection.command("TYPE", key)
        read = {"hash": ("HGETALL", key), "string": ("GET", key), "stream": ("XRANGE", key, "-", "+")}[kind]
        if kind != "string":  # bitmaps are bits
            dump.append(f"{key} {await connection.command(*read)}")
    assert dump
    for secret in ["127.0.0", "SecretAgent", *secrets]:
        assert secret not in "\n".join(dump)


def test_law_8_private_tracebacks_tell_no_values():
    """A fault in the log is its type and its lines, never its text."""
    try:
        raise ValueError("token=hunter2")
    except ValueError:
        import sys

        record = logging.LogRecord("gate.x", logging.ERROR, "", 0, "fault", None, sys.exc_info())
    line = _JsonFormatter().format(record)
    assert "hunter2" not in line
    assert "ValueError at test_law_8_private.py" in line
