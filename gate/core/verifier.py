"""An outside verifier of people (Turnstile, hCaptcha), as a room is configured to ask one.

Both speak the same protocol: the page shows their widget, which gives a token good once, and the site asks their
`siteverify` whether it is (`web/verifying.py`).
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class Provider(NamedTuple):
    """Where a provider's widget comes from, whom it talks to, and who is asked."""

    script: str
    sources: str
    """For the page's Content-Security-Policy."""
    url: str


PROVIDERS = {
    "turnstile": Provider(
        "https://challenges.cloudflare.com/turnstile/v0/api.js?render=explicit",
        "https://challenges.cloudflare.com",
        "https://challenges.cloudflare.com/turnstile/v0/siteverify",
    ),
    "hcaptcha": Provider(
        "https://js.hcaptcha.com/1/api.js?render=explicit",
        "https://hcaptcha.com https://*.hcaptcha.com",
        "https://api.hcaptcha.com/siteverify",
    ),
}


@dataclass(frozen=True, slots=True)
class Verifier:
    """A room's verifier: whose, with which keys, and at which steps (`join`, `claim`)."""

    provider: str
    site_key: str
    secret: str = field(repr=False)
    url: str
    steps: frozenset[str] = frozenset({"join"})

    def document(self) -> dict[str, str]:
        """What a page needs to show the widget."""
        return {"provider": self.provider, "site_key": self.site_key, "script": PROVIDERS[self.provider].script}
