"""Stores that do not let everybody in: one that speaks TLS only, and one that knows its users."""

import secrets
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from tests.faults.stores import Store


@dataclass
class TlsStore(Store):
    """A server that speaks TLS only, with a certificate of an authority made here; clients show none."""

    program: str = "redis"

    def __post_init__(self) -> None:
        super().__post_init__()
        authority = trustme.CA()
        shown = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(str(self.ca))
        shown.private_key_pem.write_to_path(str(self.folder / "key.pem"))
        with (self.folder / "cert.pem").open("wb") as file:
            file.writelines(blob.bytes() for blob in shown.cert_chain_pems)
        self.tls = ssl.create_default_context(cafile=str(self.ca))

    @property
    def ca(self) -> Path:
        """The authority that clients are to trust."""
        return self.folder / "ca.pem"

    @property
    def url(self) -> str:
        """By name, as certificates are checked."""
        return super().url.replace("redis://", "rediss://").replace("127.0.0.1", "localhost")

    def arguments(self) -> dict[str, str]:
        """No plain port at all."""
        files = {f"tls-{name}-file": str((self.folder / f"{name}.pem").resolve()) for name in ("cert", "key")}
        ca = {"tls-ca-cert-file": str(self.ca.resolve()), "tls-auth-clients": "no"}
        return super().arguments() | {"port": "0", "tls-port": str(self.port)} | files | ca


@dataclass
class AclStore(Store):
    """A server that knows the user `gate`, with the given rules, and refuses whoever does not log in."""

    rules: str = "~gate:* resetchannels +@all -@dangerous +info"
    gate_password: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.auth = ("rig", secrets.token_hex(8))
        users = f"user default off\nuser gate on >{self.gate_password} {self.rules}\n"
        (self.folder / "users.acl").write_text(users + f"user rig on >{self.auth[1]} ~* &* +@all\n")

    @property
    def url(self) -> str:
        """As the user `gate`."""
        return super().url.replace("redis://", f"redis://gate:{self.gate_password}@")

    def arguments(self) -> dict[str, str]:
        """Its users come from a file."""
        return super().arguments() | {"aclfile": str((self.folder / "users.acl").resolve())}
