"""How long and how many: the limits of the way to the origin, and whose certificates it trusts."""

import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds, and the pool's size in connections."""

    pool: int
    idle: float
    connect: float
    first_byte: float
    read: float


def origin_tls(verify: bool | str) -> ssl.SSLContext:
    """The TLS context for an https origin: the system's authorities, those of a file, or none at all."""
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
