"""A body made ready once: as it is, in brotli and in gzip; and which a client gets (RFC 9110 section 12.5.3)."""

import gzip
import re
from dataclasses import dataclass

import brotli

# Smaller bodies gain nothing.
_BYTES_MIN = 256
_NO = re.compile(r"\s*q\s*=\s*0(?:\.0*)?\s*")


@dataclass(frozen=True, slots=True)
class Packed:
    """One body by content coding; `identity` is always there."""

    by_coding: dict[str, bytes]

    def choose(self, accept_encoding: str) -> tuple[bytes, dict[str, str]]:
        """The smallest body that a client takes, and the headers that say so."""
        vary = {"Vary": "Accept-Encoding"} if len(self.by_coding) > 1 else {}
        if self.by_coding.keys() > {"identity"} and accept_encoding:
            accepted = _accepted(accept_encoding)
            for coding, body in self.by_coding.items():
                if coding in accepted and coding != "identity":
                    return body, {**vary, "Content-Encoding": coding}
        return self.by_coding["identity"], vary


def pack(body: bytes, *, quick: bool = False) -> Packed:
    """Make a body ready; `quick` where a visitor waits for it."""
    found = {"identity": body}
    if len(body) >= _BYTES_MIN:
        found["br"] = brotli.compress(body, mode=brotli.MODE_TEXT, quality=4 if quick else 9)
        found["gzip"] = gzip.compress(body, 3 if quick else 9, mtime=0)
    return Packed(dict(sorted(found.items(), key=lambda item: len(item[1]))))


def _accepted(header: str) -> frozenset[str]:
    """The codings a client takes; those of weight 0 it does not."""
    found = set()
    for part in header.lower().split(","):
        coding, _, weight = part.partition(";")
        if not _NO.fullmatch(weight):
            found.add(coding.strip())
    return frozenset(found)
