"""The page's files, read once, compressed once, served from memory under names that carry their hash."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from aiohttp import web

from gate.core.errors import Reason, RefusalError
from gate.web.packed import Packed, pack

PREFIX = "/_gate/static/"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
}
_COMPRESSED = (".css", ".js", ".svg", ".html", ".json")


def static_root() -> Path:
    """Where the files of `static/` are: inside the installed package, or beside it in a checkout."""
    packaged = Path(str(files("gate"))) / "_static"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "static"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    body: Packed
    content_type: str


class Assets:
    """All files that pages may ask for. `add` returns the URL under which one is served."""

    def __init__(self) -> None:
        self._by_name: dict[str, Asset] = {}

    def add(self, name: str, body: bytes) -> str:
        """Serve these bytes; `name` is `stem.suffix`, the URL gets the hash in between."""
        stem, _, suffix = name.rpartition(".")
        suffix = "." + suffix.lower()
        hashed = f"{stem}.{hashlib.blake2b(body, digest_size=6).hexdigest()}{suffix}"
        if hashed not in self._by_name:
            packed = pack(body) if suffix in _COMPRESSED else Packed({"identity": body})
            self._by_name[hashed] = Asset(packed, _TYPES[suffix])
        return PREFIX + hashed

    def add_file(self, path: Path) -> str:
        """Serve a file under its own name."""
        if path.suffix.lower() not in _TYPES:
            raise ValueError(f"{path}: a page may show svg, png, webp and jpg images only")
        return self.add(path.name, path.read_bytes())

    def answer(self, name: str, request: web.BaseRequest) -> web.Response:
        """The file of this hashed name; `not-found` for any other."""
        asset = self._by_name.get(name)
        if asset is None:
            raise RefusalError(Reason.NOT_FOUND)
        headers = {
            "Content-Type": asset.content_type,
            "Cache-Control": "public, max-age=31536000, immutable",
            "X-Content-Type-Options": "nosniff",
            "Server": "gate",
        }
        body, more = asset.body.choose(request.headers.get("Accept-Encoding", ""))
        return web.Response(body=body, headers={**headers, **more})
