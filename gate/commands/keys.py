"""`gate keys`: list or rotate the keys that sign tickets and passes. Secrets are never printed."""

import time
from pathlib import Path

import click

from gate.commands.serve import load_or_exit
from gate.keyfile import KeyFileError, read, rotate


@click.group()
@click.option("--config", "path", type=click.Path(path_type=Path), help="The gate's TOML file.")
@click.option("--state-dir", metavar="DIR", help="The gate's state directory (./.gate).")
@click.pass_context
def command(context: click.Context, path: Path | None, state_dir: str | None) -> None:
    """List or rotate the keys that sign tickets and passes.

    \b
    Example:
      gate keys rotate
    """
    context.obj = load_or_exit(path, {("store", "state_dir"): state_dir})


@command.command("list")
@click.pass_obj
def list_keys(config) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Show each key's id, algorithm and age; the last one signs."""
    try:
        ring = read(config.keys_file)
    except KeyFileError as error:
        raise click.ClickException(str(error)) from None
    for key in ring.keys:
        age_hours = (time.time() - key.created_ms / 1000) / 3600
        click.echo(f"{key.kid}  passes {key.pass_algorithm.value}  {age_hours:.1f} h old")


@command.command("rotate")
@click.pass_obj
def rotate_keys(config) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Sign with a new key from now on; old tokens stay good to their own expiry."""
    longest = max(
        max(room.ticket_life, room.claim_within + 2 * room.pass_cap + room.pass_grace) for room in config.rooms
    )
    try:
        ring = rotate(config.keys_file, config.algorithm, keep_seconds=longest)
    except KeyFileError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{ring.keys[-1].kid} signs within 5 s; {len(ring.keys) - 1} older key(s) still verify")
