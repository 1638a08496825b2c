"""`gate serve`: run the gate before a site."""

import logging
from collections.abc import Callable
from pathlib import Path

import click

from gate.admin.tokenfile import TokenFileError
from gate.crew import WorkerError
from gate.fault import ConfigError, Fault
from gate.keyfile import KeyFileError
from gate.settings import Config, load, warnings
from gate.store.embedded import EmbeddedStoreError
from gate.supervisor import serve
from gate.telemetry import start_logging


def load_or_exit(path: Path | None, overrides: dict[tuple[str, str], object]) -> Config:
    """The configuration, or exit 2 with one line a fault."""
    try:
        return load(path, overrides=_said(overrides))
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from None


def _said(overrides: dict[tuple[str, str], object]) -> dict[tuple[str, str], object]:
    return {key: value for key, value in overrides.items() if value is not None}


def run_or_exit(config: Config, reload: Callable[[], Config], *, level: int = logging.INFO) -> None:
    """Run until told to stop, or exit 2 with the one thing that stands in the way."""
    start_logging(level=level)
    try:
        serve(config, reload, level=level)
    except (EmbeddedStoreError, KeyFileError, TokenFileError) as error:
        click.echo(f"gate: {error}", err=True)
        raise SystemExit(2) from None
    except OSError as error:
        click.echo(f"gate: cannot listen: {error.strerror or error}", err=True)
        raise SystemExit(2) from None
    except WorkerError:
        click.echo("gate: a worker did not start; what it said is above", err=True)
        raise SystemExit(1) from None


@click.command()
@click.option("--origin", metavar="URL", help="The site to protect, such as http://127.0.0.1:8000.")
@click.option("--config", "path", type=click.Path(path_type=Path), help="A TOML file; see docs/configuration.md.")
@click.option("--listen", metavar="HOST:PORT", help="Where visitors connect (127.0.0.1:8080).")
@click.option("--admin", metavar="HOST:PORT", help="Where operators connect (127.0.0.1:9090).")
@click.option("--store", metavar="URL", help="A running Redis or Valkey; without it the embedded one runs.")
@click.option("--state-dir", metavar="DIR", help="Where keys and the embedded store live (./.gate).")
@click.option("--workers", metavar="N", help="Worker processes: a number, or auto for one a core.")
def command(
    origin: str | None,
    path: Path | None,
    listen: str | None,
    admin: str | None,
    store: str | None,
    state_dir: str | None,
    workers: str | None,
) -> None:
    """Run the gate before a site.

    \b
    Example:
      gate serve --origin http://127.0.0.1:8000
    """
    overrides: dict[tuple[str, str], object] = {
        ("origin", "url"): origin,
        ("server", "listen"): listen,
        ("server", "admin_listen"): admin,
        ("server", "workers"): workers,
        ("store", "url"): store,
        ("store", "state_dir"): state_dir,
    }
    config = load_or_exit(path, overrides)
    if not config.origin["url"]:
        fault = Fault("command line", "origin.url", "is missing", "--origin URL, GATE_ORIGIN_URL or [origin] url")
        click.echo(str(fault), err=True)
        raise SystemExit(2)
    for warning in warnings(config):
        click.echo(f"warning: {warning}", err=True)
    run_or_exit(config, lambda: load(path, overrides=_said(overrides)))
