"""Turns what the store answered into a `Line`. A poisoned value is an error of this room, never a crash."""

from math import inf

from gate.core.line import Era, Line, Read, Row
from gate.core.record import Head
from gate.core.room import Mode
from gate.store.connection import Reply, StoreUnavailableError

_INTEGER_MAX = 2**53


def read_line(room: str, reply: Reply) -> Line:
    """The line a reply describes, with only the reply's own history rows.

    Raises:
        StoreUnavailableError: where a field is missing or out of bounds.
    """
    fields = reply.fields
    try:
        line = Line(
            room=room,
            generation=_whole(fields["gen"]),
            now_serving=_whole(fields["sv_n"]),
            eras=_read_eras(fields),
            at=float(fields["at"]),
            release_rate=float(fields["rate"]),
            burst=_burst(fields.get("burst", "")),
            mode=Mode(fields["mode"]),
            max_issued=_whole(fields["max_issued"]) if fields.get("max_issued") else None,
            message=fields.get("message", ""),
            revision=_whole(fields["rev"]),
            dealt_before=_whole(fields["before"]),
            claimed=_whole(fields["claimed"]),
            slot=_whole(fields["slot"]),
            time=reply.time,
            seed=fields.get("seed", ""),
            denied_revision=_whole(fields["denied_rev"]),
            hold_span=_whole(fields["span"]) / 1000 if fields.get("span") else inf,
            guests=_whole(fields.get("guests", "0")),
            canaries=_whole(fields.get("canaries", "0")),
            record=Head.read(fields.get("log", "")),
            record_since=Head.read(fields.get("log_since", "")),
            read=Read(fields["gen"], fields["sv_era"], fields["sv_n"], fields["at"], fields["rev"]),
            history=tuple(_read_row(identifier, text) for identifier, text in reply.rows),
        )
    except (KeyError, ValueError) as error:
        raise StoreUnavailableError(f"room {room}: a stored number is missing or not one") from error
    if not 0 < line.release_rate < _INTEGER_MAX or not -_INTEGER_MAX < line.at < _INTEGER_MAX:
        raise StoreUnavailableError(f"room {room}: a stored number is out of bounds")
    return line


def _read_eras(fields: dict[str, str]) -> tuple[Era, ...]:
    serving, newest = _whole(fields["sv_era"]), _whole(fields["era"])
    numbers = {_whole(name[4:]) for name in fields if name.startswith("end:")}
    older = sorted(number for number in numbers if serving <= number < newest)
    return tuple(
        [_era(fields, number, _whole(fields[f"end:{number}"]), fields.get(f"nonce:{number}", "")) for number in older]
        + [_era(fields, newest, _whole(fields["n"]), fields.get("nonce", ""))]
    )


def _era(fields: dict[str, str], number: int, last: int, nonce: str) -> Era:
    return Era(number, last, nonce, _whole(fields.get(f"hold:{number}", "0")) / 1000)


def _read_row(identifier: str, text: str) -> Row:
    era, now_serving, newest, issued = (_whole(number) for number in text.split(","))
    return Row(_whole(identifier.partition("-")[0]) // 1000, era, now_serving, newest, issued)


def _burst(text: str) -> float | None:
    burst = float(text) if text else None
    if burst is not None and not 0 <= burst < _INTEGER_MAX:  # also NaN
        raise ValueError("out of bounds")
    return burst


def _whole(text: str) -> int:
    number = int(text)
    if not 0 <= number < _INTEGER_MAX:
        raise ValueError("out of bounds")
    return number
