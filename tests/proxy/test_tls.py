"""TLS: on the listener from certificate files, and to the origin with verification."""

import ssl

import pytest
import trustme
from aiohttp import web as server

from tests.harness import PAGE


@pytest.fixture
def authority(tmp_path):
    """A certificate authority and its files."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    for index, blob in enumerate(leaf.cert_chain_pems):
        blob.write_to_path(tmp_path / "cert.pem", append=index > 0)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path


@pytest.fixture
async def tls_origin(authority):
    """An origin that speaks TLS."""

    async def handle(request):
        return server.json_response({"proto": request.headers["X-Forwarded-Proto"]})

    app = server.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = server.AppRunner(app)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    await server.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://localhost:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_the_listener_speaks_tls(start_gate, web, authority, room_name):
    """From certificate files; cookies are host-bound and secure, and the origin is told."""
    running = await start_gate(
        release_rate="100/s", server={"tls_cert": str(authority / "cert.pem"), "tls_key": str(authority / "key.pem")}
    )
    trusts = ssl.create_default_context(cafile=authority / "ca.pem")
    async with web.get(running.url + "/x", headers=PAGE, ssl=trusts) as answer:
        assert dict((await answer.json())["headers"])["X-Forwarded-Proto"] == "https"
        cookie = next(c for c in answer.headers.getall("Set-Cookie") if "gate_pass" in c)
    assert cookie.startswith(f"__Host-gate_pass_{room_name}=")
    assert cookie.endswith("; Secure")


async def test_the_origins_certificate_is_verified(start_gate, web, authority, tls_origin):
    """A stranger's certificate is 502; with its authority named, or checking off, it is fine."""
    for verify, status in ((True, 502), (str(authority / "ca.pem"), 200), (False, 200)):
        running = await start_gate(mode="off", origin={"url": tls_origin, "verify": verify})
        async with web.get(running.url + "/x") as answer:
            assert answer.status == status, verify
