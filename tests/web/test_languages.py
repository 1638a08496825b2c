"""Languages: complete catalogues, right plurals, the browser's wish, and pages that are small."""

import gzip
import json
import re

import pytest

from gate.web.assets import static_root
from gate.web.languages import choose, group_digits, load_catalogues, plural_form

CATALOGUES = load_catalogues(static_root())
LANGUAGES = ("de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "th", "zh")


def holes(value):
    """The names in braces of a text or of a set of plural forms."""
    texts = value.values() if isinstance(value, dict) else [value]
    return {frozenset(re.findall(r"\{(\w+)\}", text)) for text in texts}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_catalogue_is_whole(language):
    """The same keys and the same holes as the English one, and every plural form its language needs."""
    english, other = CATALOGUES["en"], CATALOGUES[language]
    assert other.keys() == english.keys()
    for key, value in english.items():
        assert holes(other[key]) == holes(value), key
        if isinstance(value, dict) and key == "ahead":
            assert {plural_form(language, n) for n in (0, 1, 2, 5, 12, 22, 1_000_000)} <= other[key].keys()


@pytest.mark.parametrize(
    ("language", "forms"),
    [
        ("en", {0: "other", 1: "one", 2: "other"}),
        ("fr", {0: "one", 1: "one", 2: "other", 1_000_000: "many"}),
        ("pt", {0: "one", 1: "one", 2: "other"}),
        ("es", {0: "other", 1: "one", 2_000_000: "many"}),
        ("pl", {1: "one", 2: "few", 5: "many", 12: "many", 22: "few", 25: "many", 112: "many", 0: "many"}),
        ("ja", {1: "other"}),
    ],
)
def test_plural_rules(language, forms):
    """CLDR's, for whole numbers."""
    assert {number: plural_form(language, number) for number in forms} == forms


@pytest.mark.parametrize(
    ("header", "language"),
    [("de-CH,en;q=0.5", "de"), ("xx,fr;q=0.8,de;q=0.9", "de"), ("", "en"), ("*", "en"), ("th;q=0", "en"), ("zh-Hant", "zh"),
     (";;q=,,=;", "en"), ("de;q=x,it", "it")],
)  # fmt: skip
def test_the_browsers_wish(header, language):
    """RFC 9110 section 12.5.4, and garbage is English."""
    assert choose(header, frozenset(LANGUAGES)) == language


def test_digits_are_grouped():
    """As the language does."""
    assert [group_digits(language, 48_213) for language in ("en", "de", "fr")] == ["48,213", "48.213", "48\u00a0213"]


def test_the_page_is_small():
    """HTML with its largest catalogue, CSS and JS together: under 14 kB compressed."""
    root = static_root()
    texts = max((json.dumps(catalogue, ensure_ascii=False) for catalogue in CATALOGUES.values()), key=len)
    parts = [
        (root / "waiting.html").read_text() + texts,
        (root / "waiting.css").read_text(),
        (root / "waiting.js").read_text(),
    ]
    assert sum(len(gzip.compress(part.encode(), 9)) for part in parts) < 14_000
