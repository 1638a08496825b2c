"""Proofs of work at join, made and checked without a store: what a number costs whoever wants many.

The puzzle is ALTCHA's (hash of salt and number, signed by us), by its own library. Its salt names the pre-ticket that
it is for, and a pre-ticket is good for one number: so no proof is good twice, and no old one is good at all.
"""

import base64
import binascii
import json
from typing import Any

from altcha.v1 import ChallengeOptions, Payload, create_challenge, extract_params, verify_solution

from gate.core.tokens import PreTicket, Tokens

_LENGTH_MAX = 2_048


def make_challenge(tokens: Tokens, room: str, pre: PreTicket, most: int, now: float) -> dict[str, Any]:
    """A puzzle for one pre-ticket: find the number, from 0 to `most`, that hashes to its challenge."""
    options = ChallengeOptions(
        max_number=most, hmac_key=tokens.proof_key(room, now), params={"pre": _name(pre)}, algorithm="SHA-256"
    )
    return create_challenge(options).to_dict()


def proves(tokens: Tokens, room: str, pre: PreTicket, text: str) -> bool:
    """Whether this text solves a puzzle of ours for this pre-ticket."""
    payload = _read(text)
    if payload is None or extract_params(payload.to_dict()).get("pre") != [_name(pre)]:
        return False
    return any(verify_solution(payload, key, check_expires=False)[0] for key in tokens.proof_keys(room))


def _name(pre: PreTicket) -> str:
    return f"{pre.gate}.{pre.issued_at}.{pre.serial}"


def _read(text: str) -> Payload | None:
    """The payload, base64 of JSON, if it has the form of one."""
    if not text or len(text) > _LENGTH_MAX:
        return None
    try:
        said = json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("algorithm") != "SHA-256" or type(said.get("number")) is not int:
        return None
    texts = [said.get(name) for name in ("challenge", "salt", "signature")]
    if not all(isinstance(one, str) and one.isascii() for one in texts):
        return None
    return Payload("SHA-256", str(texts[0]), said["number"], str(texts[1]), str(texts[2]))
