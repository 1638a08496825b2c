"""Listening sockets, made apart from the servers that use them.

A supervisor binds one socket a worker (`SO_REUSEPORT`) and keeps it: a connection that waits in its backlog
outlives the worker it was meant for, and a successor takes it.
"""

import socket
import ssl

BACKLOG = 4_096


def bind(where: tuple[str, int]) -> socket.socket:
    """A listening socket, shared by whoever binds the same address with this function; port 0: any.

    Raises:
        OSError: the address cannot be had.
    """
    host, port = where
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def bind_alone(where: tuple[str, int]) -> socket.socket:
    """The first socket of an address: refuses one that somebody else listens on, which `SO_REUSEPORT` would share.

    Raises:
        OSError: the address cannot be had.
    """
    host, port = where
    if port:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    return bind(where)


def place_of(listener: socket.socket) -> tuple[str, int]:
    """Host and port."""
    host, port = listener.getsockname()[:2]
    return str(host), int(port)


def address(where: tuple[str, int]) -> str:
    """HOST:PORT, for people."""
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def tls_context(cert: str, key: str) -> ssl.SSLContext | None:
    """What a public listener needs to speak https, or None for http.

    Raises:
        OSError: the files cannot be used (`ssl.SSLError` is one).
    """
    if not cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["http/1.1"])
    return context
