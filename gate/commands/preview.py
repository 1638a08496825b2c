"""`gate preview`: the waiting page, as it would look."""

import click

from gate.commands.admin_client import AdminClient, room_path, with_admin


@click.command()
@click.argument("room")
@click.option("--state", default="waiting", show_default=True, help="waiting, next, held, closed, away, …")
@click.option("--ahead", default=1_234, show_default=True, type=click.IntRange(0), help="How many are ahead.")
@click.option("--language", default="en", show_default=True, help="Of the page: en, de, ja, …")
@with_admin
def command(client: AdminClient, room: str, state: str, ahead: int, language: str) -> None:
    """Print a link, good for an hour, to the waiting page in one state; the real line is not touched.

    \b
    Example:
      gate preview sale --state held --language de
    """
    made = client.post(room_path(room, "/preview"), {"state": state, "ahead": ahead, "language": language})
    click.echo(client.access.url + made["url"])
    click.echo(f"states: {', '.join(made['states'])}; languages: {', '.join(made['languages'])}", err=True)
