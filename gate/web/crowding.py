"""How many connections there may be, in all and from one address.

Many people may share one: a household, an office, a carrier's NAT. Of IPv6 the /64 counts, which one subscriber has
whole.
"""

import ipaddress
from collections import Counter

from gate.core.room import Address, Network


class Crowding:
    """The open connections of one process. 0 is no limit; a trusted proxy brings everybody's, so it has none."""

    def __init__(self, total: int, each: int, trusted: tuple[Network, ...]) -> None:
        self._total = total
        self._each = each
        self._trusted = trusted
        self._shares: dict[object, str] = {}
        self._counts: Counter[str] = Counter()

    def enter(self, connection: object, peer: str) -> bool:
        """Whether this one may stay; whoever may is counted until it leaves."""
        if self._total and len(self._shares) >= self._total:
            return False
        share = self._share(peer) if self._each else ""
        if share and self._counts[share] >= self._each:
            return False
        self._counts[share] += 1
        self._shares[connection] = share
        return True

    def leave(self, connection: object) -> None:
        """It is gone; nothing if it never was let in."""
        share = self._shares.pop(connection, None)
        if share is None:
            return
        self._counts[share] -= 1
        if not self._counts[share]:
            del self._counts[share]

    def _share(self, peer: str) -> str:
        """What is counted together; '' is without a limit."""
        try:
            address: Address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return ""
        if any(address in network for network in self._trusted):
            return ""
        if address.version == 4 or address.ipv4_mapped:  # noqa: PLR2004  (IP's own number)
            return peer
        return str(ipaddress.ip_network((address, 64), strict=False))
