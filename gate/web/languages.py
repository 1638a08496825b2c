"""The page's languages: which one a browser wants, and the few plural rules its sentences need.

Catalogues are `static/i18n/*.json`. In the browser `Intl.PluralRules` picks the form; here, for the page as it is
first painted and for browsers without JavaScript, CLDR's rules for whole numbers in our twelve languages do.
"""

import json
from pathlib import Path
from typing import Any

Catalogue = dict[str, Any]
_MILLION = 1_000_000


def load_catalogues(root: Path) -> dict[str, Catalogue]:
    """Language to catalogue."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((root / "i18n").glob("*.json"))}


def choose(accept_language: str, available: frozenset[str]) -> str:
    """The best of `available` for an `Accept-Language` header (RFC 9110 section 12.5.4), or English."""
    ranked: list[tuple[float, int, str]] = []
    for index, part in enumerate(accept_language.split(",")[:20]):
        tag, _, parameters = part.strip().partition(";")
        weight = _weight(parameters)
        if weight > 0:
            ranked.append((-weight, index, tag.strip().lower().partition("-")[0]))
    return next((tag for _, _, tag in sorted(ranked) if tag in available), "en")


def plural_form(language: str, number: int) -> str:
    """The CLDR plural category of a whole number."""
    match language:
        case "ja" | "ko" | "zh" | "th":
            return "other"
        case "fr":
            return "one" if number in (0, 1) else _many_or_other(number)
        case "pt":
            return "one" if number in (0, 1) else _many_or_other(number)
        case "es" | "it":
            return "one" if number == 1 else _many_or_other(number)
        case "pl":
            return _polish(number)
    return "one" if number == 1 else "other"


def plural(catalogue: Catalogue, key: str, language: str, number: int) -> str:
    """The sentence of a catalogue for a number; forms a catalogue does not give fall back to `other`."""
    forms = catalogue[key]
    return str(forms.get(plural_form(language, number), forms["other"]))


def group_digits(language: str, number: int) -> str:
    """A whole number with its thousands apart."""
    separator = {"en": ",", "zh": ",", "ja": ",", "ko": ",", "th": ","}.get(
        language, "." if language in _DOTTED else "\u00a0"
    )
    return f"{number:,}".replace(",", separator)


_DOTTED = ("de", "it", "nl", "es", "pt")


def _many_or_other(number: int) -> str:
    return "many" if number and number % _MILLION == 0 else "other"


def _polish(number: int) -> str:
    if number == 1:
        return "one"
    few = number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14)
    return "few" if few else "many"


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0
