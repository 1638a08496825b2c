"""How the commands talk to the admin API: one request, its document or one line that says what went wrong."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import click

from gate.settings import AdminAccess, admin_access

_TIMEOUT_SECONDS = 10.0
_STALLED_SECONDS = 15.0


class AdminClient:
    """The admin API of one gate."""

    def __init__(self, access: AdminAccess) -> None:
        self.access = access

    def get(self, path: str) -> Any:
        """A document."""
        return self._ask("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Do something."""
        return self._ask("POST", path, body)

    def patch(self, room: str, **settings: Any) -> Any:
        """Change a room."""
        return self._ask("PATCH", room_path(room), settings)

    def events(self) -> Iterator[tuple[str, Any]]:
        """Names and documents of events as they come, until the gate ends the stream."""
        with self._open("GET", "/api/events", None, _STALLED_SECONDS) as answer:
            name = ""
            for raw in answer:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield name, json.loads(line.removeprefix("data: "))

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        with self._open(method, path, body, _TIMEOUT_SECONDS) as answer:
            if answer.headers.get("Server") != "gate":
                raise click.ClickException(f"{self.access.url} is not the admin listener of a gate")
            return json.loads(answer.read())

    def _open(self, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> Any:
        headers = {"Authorization": f"Bearer {self.access.token}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        if not self.access.url.startswith(("http://", "https://")):
            raise click.ClickException(f"{self.access.url} is no address; it must be http://HOST:PORT")
        request = Request(self.access.url + path, data=data, headers=headers, method=method)  # noqa: S310  (ours)
        try:
            return urlopen(request, timeout=timeout)  # noqa: S310  (the operator named it)
        except HTTPError as error:
            raise click.ClickException(self._words(error)) from None
        except (URLError, OSError, ValueError) as error:
            cause = getattr(error, "reason", error)
            raise click.ClickException(
                f"{self.access.url} does not answer ({cause}); is the gate running? GATE_ADMIN_URL names another"
            ) from None

    def _words(self, error: HTTPError) -> str:
        try:
            problem = json.loads(error.read())
            said = problem.get("detail") or problem["title"]
        except (ValueError, KeyError, AttributeError):
            return f"{self.access.url} answered {error.code}; is this the admin listener?"
        if problem["type"] == "unauthorized":
            folder = self.access.state_dir
            if self.access.token:
                return f"the token was refused; it came from GATE_ADMIN_TOKEN, or else from admin-token in {folder}"
            return (
                f"{said} Set GATE_ADMIN_TOKEN, or GATE_STATE_DIR to the folder with admin-token (looked in {folder})."
            )
        return f"{problem['type']}: {said}"


def room_path(room: str, rest: str = "") -> str:
    """The path of a room's document, or of something of it."""
    return f"/api/rooms/{quote(room, safe='')}{rest}"


def with_admin(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command its options `--url` and `--state-dir`, and an `AdminClient` as its first argument."""

    def run(*arguments: Any, url: str | None, state_dir: str | None, **options: Any) -> None:
        command(AdminClient(admin_access(url=url, state_dir=state_dir)), *arguments, **options)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    run = click.option("--state-dir", metavar="DIR", help="Where admin-token is (GATE_STATE_DIR, ./.gate).")(run)
    return click.option("--url", metavar="URL", help="The admin listener (GATE_ADMIN_URL, http://127.0.0.1:9090).")(run)
