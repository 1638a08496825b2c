"""A room's outside verifier, from its settings."""

from pathlib import Path
from typing import Any

from gate.core.verifier import PROVIDERS, Verifier
from gate.fault import Fault

_STEPS = frozenset({"join", "claim"})
_OTHERS = 0o077


def read_verifier(parsed: dict[str, Any], where: str, label: str, faults: list[Fault]) -> Verifier | None:
    """Takes the keys of the verifier out of a room's values; None where there is none, or a fault is noted."""
    taken = ("verifier", "verifier_at", "verifier_site_key", "verifier_secret_file", "verifier_url")
    provider, steps, site_key, secret_file, url = (parsed.pop(key) for key in taken)
    if not provider:
        return None
    found: list[Fault] = []
    if not steps or not _STEPS.issuperset(steps):
        found.append(Fault(where, f"{label}.verifier_at", "names a step that is none", 'a list of "join", "claim"'))
    if not site_key:
        found.append(Fault(where, f"{label}.verifier_site_key", "is missing", f"the site key of {provider}"))
    secret = _read_secret(secret_file, where, f"{label}.verifier_secret_file", found)
    faults += found
    if found:
        return None
    return Verifier(provider, site_key, secret, url or PROVIDERS[provider].url, frozenset(steps))


def _read_secret(path: str, where: str, key: str, faults: list[Fault]) -> str:
    allowed = "a file with the secret key, mode 0600"
    try:
        file = Path(path)
        secret = file.read_text(encoding="utf-8").strip() if path else ""
        if secret and file.stat().st_mode & _OTHERS:
            faults.append(Fault(where, key, "can be read by others", allowed))
        elif not secret:
            faults.append(Fault(where, key, "is missing or empty", allowed))
    except (OSError, UnicodeDecodeError):
        faults.append(Fault(where, key, "cannot be read", allowed))
        return ""
    return secret
