"""`gate log`: who did what to a room, and whether the record is whole."""

import json
from typing import Any

import click

from gate.commands import words
from gate.commands.admin_client import AdminClient, room_path, with_admin
from gate.core.record import Entry, Head, verify


@click.command()
@click.argument("room")
@click.option("--verify", "checks", is_flag=True, help="Check that nothing was changed or removed.")
@click.option("--head", "noted", metavar="N:HASH", help="A head noted earlier (in a gate's log); it must be in there.")
@click.option("--json", "as_json", is_flag=True, help="The entries as the API gives them.")
@with_admin
def command(client: AdminClient, room: str, checks: bool, noted: str | None, as_json: bool) -> None:
    """Show a room's record, oldest first; with --verify check its chain of hashes here, from the texts alone.

    \b
    Example:
      gate log sale --verify
    """
    record = _fetch(client, room)
    if as_json:
        click.echo(json.dumps(record["entries"], indent=1))
    else:
        for entry in record["entries"]:
            click.echo(_line(entry))
    if checks or noted:
        _check(room, record, noted)


def _line(entry: dict[str, Any]) -> str:
    """One entry, on one line whatever is in it."""
    who, act = words.plain(entry["actor"]), words.plain(entry["act"])
    said = words.change(entry["before"], entry["after"])
    return f"{entry['number']:>5}  {words.moment(entry['time'])}  {who}  {act}  {said}"


def _fetch(client: AdminClient, room: str) -> dict[str, Any]:
    """All pages of the record as one."""
    record: dict[str, Any] = client.get(room_path(room, "/log"))
    while record["more"]:
        page = client.get(room_path(room, f"/log?after={record['entries'][-1]['number']}"))
        record["entries"] += page["entries"]
        record["more"], record["head"] = page["more"] and bool(page["entries"]), page["head"]
    return record


def _check(room: str, record: dict[str, Any], noted: str | None) -> None:
    entries = [Entry(entry["text"], Head(entry["number"], entry["hash"])) for entry in record["entries"]]
    broken = verify(entries, since=_head(record["since"]), head=_head(record["head"]))
    if broken is not None:
        raise click.ClickException(f"{room}: the record is broken at entry {broken.number}: it {broken.wrong}")
    if noted is not None and noted not in [str(entry.head) for entry in entries]:
        raise click.ClickException(f"{room}: the record is whole in itself, but the head {noted[:30]}… is not in it")
    head = record["head"]
    told = f"head {head['number']}:{head['hash']}" if head else "empty"
    click.echo(f"{room}: {len(entries)} entries, unbroken; {told}")


def _head(document: dict[str, Any] | None) -> Head:
    return Head(document["number"], document["hash"]) if document else Head()
