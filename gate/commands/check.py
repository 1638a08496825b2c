"""`gate check`: every fault of a configuration at once."""

from pathlib import Path

import click

from gate.core.rate import format_rate
from gate.fault import ConfigError
from gate.settings import load, warnings


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="GATE.TOML")
def command(path: Path) -> None:
    """Say everything that is wrong with a configuration; exit 0 if nothing is.

    \b
    Example:
      gate check gate.toml
    """
    try:
        config = load(path)
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from None
    for warning in warnings(config):
        click.echo(f"warning: {warning}", err=True)
    rooms = ", ".join(f"{room.name} ({room.mode.value}, {format_rate(room.release_rate)})" for room in config.rooms)
    click.echo(f"{path}: fine; rooms: {rooms}")
