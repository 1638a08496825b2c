"""Who calls: address, scheme, host and target of a request, as far as they can be believed.

`X-Forwarded-For` and `-Proto` count only where the peer is a trusted proxy, and then from the right: the first
address that is not a trusted proxy's is the client's.
"""

import functools
import ipaddress
import re
from dataclasses import dataclass

from multidict import MultiMapping

from gate.core.errors import Reason, RefusalError
from gate.core.fetch import FORBIDDEN_METHODS, METHODS
from gate.core.room import Address, Network
from gate.core.target import Target, parse_host, parse_target
from gate.web.plain import Asking

_LENGTH = re.compile(r"[0-9]+", re.ASCII)
_VERSIONS = ((1, 0), (1, 1))


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's sender and aim. `host` is without port; `authority` as the Host header has it."""

    address: Address | None
    trusted: bool
    scheme: str
    host: str
    authority: str
    target: Target

    @property
    def network(self) -> str:
        """The /24 or /64 this caller shares with neighbours."""
        return _network_of(self.address) if self.address else ""

    @property
    def join_share(self) -> str:
        """The network whose joins are counted together; '' for an address that is not public: it may be a proxy's."""
        return _network_of(self.address) if self.address and _is_public(self.address) else ""


def identify(request: Asking, trusted_proxies: tuple[Network, ...], public_scheme: str) -> Caller:
    """Who calls, and for what.

    Raises:
        RefusalError: a request line, method or Host that cannot be understood in one way only.
    """
    if tuple(request.version) not in _VERSIONS:
        raise RefusalError(Reason.BAD_REQUEST, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    if request.method in FORBIDDEN_METHODS:
        raise RefusalError(Reason.METHOD_NOT_ALLOWED)
    if request.method not in METHODS:
        raise RefusalError(Reason.NOT_IMPLEMENTED)
    authorities = request.headers.getall("Host", [])
    if len(authorities) != 1:
        raise RefusalError(Reason.BAD_REQUEST, "The Host header must be there once.")
    _check_framing(request.headers)
    host = parse_host(authorities[0])
    target = parse_target(request.raw_path, host, request.method)
    peer = _address(request.remote or "")
    trusted = _is_trusted(peer, trusted_proxies)
    chain = ",".join(request.headers.getall("X-Forwarded-For", [])) if trusted else ""
    address = _forwarded_for(chain, peer, trusted_proxies) if trusted else peer
    scheme = public_scheme or _scheme(request.scheme, request.headers.get("X-Forwarded-Proto", ""), trusted=trusted)
    return Caller(address, trusted, scheme, host, authorities[0], target)


def _check_framing(headers: MultiMapping[str]) -> None:
    """Refuse what the parser lets pass, and others read otherwise."""
    if not all(_LENGTH.fullmatch(length) for length in headers.getall("Content-Length", [])):
        raise RefusalError(Reason.BAD_REQUEST, "The Content-Length must be a number.")
    if any(coding.lower() != "chunked" for coding in headers.getall("Transfer-Encoding", [])):
        raise RefusalError(Reason.BAD_REQUEST, "The only transfer coding spoken here is chunked.")


def scheme_of(peer: str, scheme: str, forwarded: str, proxies: tuple[Network, ...], public_scheme: str) -> str:
    """The scheme that a visitor sees; `forwarded` is what X-Forwarded-Proto says, or nothing."""
    return public_scheme or _scheme(scheme, forwarded, trusted=bool(forwarded) and _is_trusted(_address(peer), proxies))


def _scheme(scheme: str, forwarded: str, *, trusted: bool) -> str:
    said = forwarded.split(",", maxsplit=1)[0].strip().lower()
    return said if trusted and said in ("http", "https") else scheme


def _is_trusted(peer: Address | None, proxies: tuple[Network, ...]) -> bool:
    return peer is not None and any(peer in network for network in proxies)


def join_share(peer: str, forwarded_for: str, proxies: tuple[Network, ...]) -> str:
    """The same as `Caller.join_share`, from a peer and what X-Forwarded-For says."""
    address = _address(peer)
    if forwarded_for and _is_trusted(address, proxies):
        address = _forwarded_for(forwarded_for, address, proxies)
    return _network_of(address) if address and _is_public(address) else ""


@functools.lru_cache(maxsize=16_384)
def _network_of(address: Address) -> str:
    bits = 24 if address.version == 4 else 64  # noqa: PLR2004  (IP's own numbers)
    return str(ipaddress.ip_network((address, bits), strict=False))


@functools.lru_cache(maxsize=16_384)
def _is_public(address: Address) -> bool:
    return address.is_global


def _forwarded_for(chain: str, peer: Address | None, proxies: tuple[Network, ...]) -> Address | None:
    for text in reversed([part.strip() for part in chain.split(",") if part.strip()]):
        address = _address(text)
        if address is None:
            return peer
        if not any(address in network for network in proxies):
            return address
        peer = address
    return peer


@functools.lru_cache(maxsize=4_096)
def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
