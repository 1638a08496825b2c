"""`gate demo`: a box office, a gate before it, and a crowd, in one process tree that Ctrl-C ends whole."""

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from gate.child import python
from gate.commands.serve import load_or_exit, run_or_exit
from gate.store.embedded import dies_with
from gate.values import listen as listen_address

_START_TRIES, _START_STEP_SECONDS = 100, 0.05
_ROOM = {"GATE_ROOM_RELEASE_RATE": "2/s", "GATE_ROOM_BURST": "2", "GATE_ROOM_TITLE": "Harbour Hall tickets"}


@click.command()
@click.option(
    "--crowd", default=100, show_default=True, type=click.IntRange(0, 20_000), help="Visitors already in line."
)
@click.option("--origin", metavar="URL", help="A site of your own instead of the box office.")
@click.option("--listen", metavar="HOST:PORT", help="Where visitors connect (127.0.0.1:8080).")
@click.option("--admin", metavar="HOST:PORT", help="Where operators connect (127.0.0.1:9090).")
@click.option("--origin-listen", default="127.0.0.1:8001", show_default=True, help="Where the box office listens.")
@click.option("--state-dir", metavar="DIR", help="Keep the demo's state here; a fresh temporary one otherwise.")
def command(
    crowd: int,
    origin: str | None,
    listen: str | None,
    admin: str | None,
    origin_listen: str,
    state_dir: str | None,
) -> None:
    """Show the whole thing: open the first URL and stand in line behind the crowd.

    \b
    Example:
      gate demo --crowd 300
    """
    os.environ.update({name: value for name, value in _ROOM.items() if name not in os.environ})
    with tempfile.TemporaryDirectory(prefix="gate-demo-") as folder:
        config = load_or_exit(
            None,
            {
                ("origin", "url"): origin or f"http://{origin_listen}",
                ("server", "listen"): listen,
                ("server", "admin_listen"): admin,
                ("server", "drain_seconds"): 0.3,
                ("store", "state_dir"): state_dir or folder,
            },
        )
        public = _url(config.server["listen"])
        shop = listen_address(origin_listen)
        _all_free(
            {"--listen": config.server["listen"], "--admin": config.server["admin_listen"]}
            | ({"--origin-listen": shop} if origin is None else {})
        )
        children = []
        try:
            if origin is None:
                children.append(_child("gate.demo.origin", {"listen": origin_listen}))
                _wait_for(shop)
            if crowd:
                children.append(_child("gate.demo.crowd", {"url": public, "visitors": crowd, "buys": origin is None}))
            _say(
                public,
                _url(config.server["admin_listen"]),
                origin or f"http://{origin_listen}",
                config.state_dir,
                crowd,
            )
            # A crowd's every step would scroll the addresses away.
            run_or_exit(config, lambda: config, level=logging.WARNING)
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait(5)


def _all_free(places: dict[str, tuple[str, int]]) -> None:
    """Exit 2 with one line for each address that is taken, before anybody is invited to it."""
    taken = []
    for option, place in places.items():
        with socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(place)
            except OSError as error:
                taken.append(f"gate: {place[0]}:{place[1]}: {error.strerror}; choose another with {option} HOST:PORT")
    if taken:
        click.echo("\n".join(taken), err=True)
        raise SystemExit(2)


def _wait_for(place: tuple[str, int]) -> None:
    """Until the box office answers, so that nobody is let in to a site that is not there yet."""
    for _ in range(_START_TRIES):
        with contextlib.suppress(OSError), socket.create_connection(place, 1):
            return
        time.sleep(_START_STEP_SECONDS)


def _child(module: str, options: dict[str, object]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603  (our own module)
        python(module, json.dumps(options)),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=dies_with(os.getpid()) if sys.platform == "linux" else None,
    )


def _url(where: tuple[str, int]) -> str:
    host = "127.0.0.1" if where[0] == "0.0.0.0" else where[0]  # noqa: S104  (to show, not to bind)
    return f"http://{host}:{where[1]}"


def _say(public: str, admin: str, origin: str, state_dir: Path, crowd: int) -> None:
    elsewhere = "" if admin == "http://127.0.0.1:9090" else f" --url {admin}"
    click.echo(
        f"""
  Open this and stand in line:   {public}/
  The site behind the gate:      {origin}/
  The operator's dashboard:      {admin}/
      its token:                 cat {state_dir}/admin-token
      the same on a terminal:    gate watch --state-dir {state_dir}{elsewhere}

  {crowd} visitors are in line; two a second are let in. Ctrl-C ends it all.
"""
    )
