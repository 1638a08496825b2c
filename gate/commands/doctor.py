"""`gate doctor`: whether it would work on the night."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import click

from gate.commands.admin_client import AdminClient
from gate.commands.serve import load_or_exit
from gate.doctor.finding import Finding, Verdict, fail, judge
from gate.doctor.inside import check_admin, check_config, check_files, check_store
from gate.doctor.outside import check_origin, check_public
from gate.settings import Config, admin_access
from gate.store.backends import StoreTls

_COLOURS = {Verdict.FINE: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help="The gate's TOML file.")
@click.option("--origin", metavar="URL", help="The site, where the file does not name it.")
@click.option("--public", metavar="URL", help="What visitors type (server.public_url, else the listener itself).")
@click.option("--url", metavar="URL", help="The admin listener (GATE_ADMIN_URL, http://127.0.0.1:9090).")
@click.option("--state-dir", metavar="DIR", help="The gate's state directory (GATE_STATE_DIR, ./.gate).")
def command(path: Path | None, origin: str | None, public: str | None, url: str | None, state_dir: str | None) -> None:
    """Check a running deployment from the outside, one line each; exit 1 if anything would fail on the night.

    \b
    Example:
      gate doctor --config gate.toml --public https://shop.example
    """
    config = load_or_exit(path, {("store", "state_dir"): state_dir, ("origin", "url"): origin})
    place = "{}:{}".format(*config.server["admin_listen"])
    found = asyncio.run(
        _examine(
            config,
            public or config.public_url(),
            url or _admin_url(path, place),
            state_dir,
            path_given=path is not None,
        )
    )
    for finding in found:
        mark = click.style(f"{finding.verdict:<4}", fg=_COLOURS[finding.verdict])
        click.echo(f"{mark}  {finding.about}: {finding.found}" + (f"; {finding.mend}" if _bad(finding) else ""))
    count = Counter(finding.verdict for finding in found)
    click.echo(f"{count[Verdict.FINE]} fine, {count[Verdict.WARN]} to look at, {count[Verdict.FAIL]} to mend")
    if count[Verdict.FAIL]:
        raise SystemExit(1)


async def _examine(
    config: Config, public: str, url: str | None, state_dir: str | None, *, path_given: bool
) -> list[Finding]:
    found = [*check_files(config), *check_config(config)]
    client = AdminClient(admin_access(url=url, state_dir=state_dir))
    rooms = [room.name for room in config.rooms]
    try:
        gate = await asyncio.to_thread(client.get, "/api/gate")
        rooms = [room["room"] for room in gate["rooms"]] or rooms
        found += check_admin(gate)
        found += _compare(config, gate) if path_given else []
    except click.ClickException as error:
        found.append(fail("admin", error.message, "then run the doctor again"))
    found += await check_store(config.store["url"], StoreTls.of(config.store))
    found += await check_origin(config.origin["url"], config.origin["verify"])
    return found + await check_public(public, rooms[0])


def _admin_url(path: Path | None, place: str) -> str | None:
    """Where the file says that the admin listener is; without a file, where the environment says."""
    return f"http://{place}" if path is not None else None


def _compare(config: Config, gate: dict[str, Any]) -> list[Finding]:
    """Whether the gate that answers is the one of this file."""
    here, there = {room.name for room in config.rooms}, {room["room"] for room in gate["rooms"]}
    found = f"the file's rooms are {', '.join(sorted(here))}; the gate has {', '.join(sorted(there))}"
    return [judge(here == there, "rooms", found, "reload the gate (SIGHUP), or name its file with --config")]


def _bad(finding: Finding) -> bool:
    return finding.verdict is not Verdict.FINE
