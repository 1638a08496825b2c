"""What a check finds: one line, and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    FINE = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `mend` says what to do unless all is fine."""

    verdict: Verdict
    about: str
    found: str
    mend: str = ""


def fine(about: str, found: str) -> Finding:
    """As it should be."""
    return Finding(Verdict.FINE, about, found)


def warn(about: str, found: str, mend: str) -> Finding:
    """Works, but may hurt."""
    return Finding(Verdict.WARN, about, found, mend)


def fail(about: str, found: str, mend: str) -> Finding:
    """Would not work on the night."""
    return Finding(Verdict.FAIL, about, found, mend)


def judge(good: bool, about: str, found: str, mend: str) -> Finding:
    """Fine or not."""
    return fine(about, found) if good else fail(about, found, mend)
