"""The small page a browser sees where the origin is away or late; everybody else gets the problem document."""

from pathlib import Path

from aiohttp import web

from gate.core.errors import RefusalError
from gate.web.assets import Assets
from gate.web.languages import Catalogue, choose
from gate.web.page import HTML_HEADERS, fill


class TroublePage:
    """One page for all rooms: it says only that the site does not answer, and tries again."""

    def __init__(self, assets: Assets, root: Path, catalogues: dict[str, Catalogue]) -> None:
        self._template = (root / "trouble.html").read_text(encoding="utf-8")
        self._links = {"css": assets.add_file(root / "waiting.css"), "icon": assets.add_file(root / "icon.svg")}
        self._catalogues = catalogues

    def answer(self, request: web.BaseRequest, error: RefusalError, back: str) -> web.Response:
        """The page for a refusal whose reason lies with the origin."""
        language = choose(request.headers.get("Accept-Language", ""), frozenset(self._catalogues))
        catalogue = self._catalogues[language]
        said = {"heading": catalogue["heading_trouble"], "explanation": catalogue["text_trouble"]}
        page = fill(self._template, {**self._links, **said, "lang": language, "back": back})
        headers = {**HTML_HEADERS, "Content-Language": language, "Retry-After": str(error.retry_after or 5)}
        return web.Response(status=error.reason.status, body=page.encode(), headers=headers)
