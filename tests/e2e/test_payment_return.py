"""The return from a payment page on another site, by a POST navigation, while a line stands."""

import pytest
import trustme
from aiohttp import web as server


@pytest.fixture
async def payment_site():
    """A site of another name whose page posts back to the shop: `localhost` is not the site `127.0.0.1`."""
    back = {}

    async def pay(request):
        form = f'<form method=post action="{back["url"]}"><input name=paid value=yes><button>Back to the shop</button></form>'
        return server.Response(text=form, content_type="text/html")

    app = server.Application()
    app.router.add_get("/", pay)
    runner = server.AppRunner(app)
    await runner.setup()
    await server.TCPSite(runner, "127.0.0.1", 0).start()
    back["at"] = f"http://localhost:{runner.addresses[0][1]}/"
    yield back
    await runner.cleanup()


@pytest.fixture
def shop(origin):
    """A shop with a page and a place to come back to."""

    @origin.on("/")
    async def page(request):
        return server.Response(text="<h1>The shop</h1>", content_type="text/html")

    @origin.on("/payment/return")
    async def paid(request):
        form = await request.post()
        return server.Response(text=f"<h1>Paid: {form['paid']}</h1>", content_type="text/html")

    return origin


async def pay_and_return(start_gate, context, payment_site, web, room_name, **settings):
    """Be let in, let a line form, pay elsewhere, come back by POST; returns the page one lands on."""
    running = await start_gate(release_rate="100/s", **settings)
    page = await context.new_page()
    await page.goto(running.url + "/")
    await page.wait_for_selector("text=The shop")
    await running.patch(web, room_name, mode="hold")
    await running.until_seen(room_name, lambda line: line.mode == "hold")
    payment_site["url"] = running.url + "/payment/return"
    await page.goto(payment_site["at"])
    await page.click("button")
    await page.wait_for_load_state()
    return page


async def test_without_a_rule_the_visitor_is_told(start_gate, new_context, payment_site, shop, web, room_name):
    """SameSite=Lax: the browser sends no pass, the page says that the form did not arrive; the pass is not lost."""
    page = await pay_and_return(start_gate, await new_context(), payment_site, web, room_name)
    await page.wait_for_selector("text=Enter now")
    assert "did not reach the site" in await page.inner_text("#form-not-sent")
    await page.click("text=Enter now")
    await page.wait_for_selector("text=The shop")


async def test_with_an_open_rule_it_arrives(start_gate, new_context, payment_site, shop, web, room_name):
    """`bypass` for the path and POST: the payment is confirmed although a line stands."""
    rule = [{"paths": ["/payment/return"], "methods": ["POST"]}]
    page = await pay_and_return(start_gate, await new_context(), payment_site, web, room_name, bypass=rule)
    assert await page.inner_text("h1") == "Paid: yes"


async def test_with_same_site_none_it_arrives(start_gate, new_context, payment_site, shop, web, room_name, tmp_path):
    """`same_site = "none"` over https: the browser sends the pass with the foreign POST."""
    leaf = trustme.CA().issue_cert("127.0.0.1")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    tls = {"tls_cert": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}
    context = await new_context(ignore_https_errors=True)
    page = await pay_and_return(start_gate, context, payment_site, web, room_name, server=tls, same_site="none")
    assert await page.inner_text("h1") == "Paid: yes"
