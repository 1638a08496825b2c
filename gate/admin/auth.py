"""The operator's token: made at first start, kept 0600, compared in constant time, never printed."""

import hmac
import os
import secrets
from pathlib import Path

from aiohttp import web

_TOKEN_BYTES = 32


def load_or_make_token(state_dir: Path, given: str) -> tuple[str, Path | None]:
    """The token, and the file it is kept in; a token given by the environment is in no file."""
    if given:
        return given, None
    path = state_dir / "admin-token"
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return path.read_text().strip(), path
    with os.fdopen(handle, "w") as file:
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        file.write(token + "\n")
    return token, path


def shows_token(request: web.BaseRequest, token: str) -> bool:
    """Whether a request bears the token (RFC 6750)."""
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), token.encode())
