"""Every key of the store. All of a room's keys carry the hash tag `{room}`, so that a Cluster keeps them together.

gate:{room}:line                                hash: the handful of numbers (fields in lua/room.lua)
gate:{room}:history                             stream: one row a slot in which something moved, bounded
gate:{room}:denied                              sorted set: revoked places until their pass would end
gate:{room}:record                              stream: who did what, chained by hash, bounded by age
gate:{room}:active:<generation>:<bucket>        HyperLogLog: places with a pass alive then; lives as long as it may
gate:{room}:pre:<gate>:<bucket>                 bitmap: pre-tickets spent; lives minutes
gate:{room}:<generation>:<era>:claimed:<page>   bitmap: one bit a place
gate:{room}:<generation>:<era>:ended:<page>     bitmap: one bit a place, only where a visit ended early
"""

from gate.core.place import Place

# Bits come in pages of a fixed size, allocated whole: a string that grows bit by bit is over-allocated twofold.
PAGE_BITS = 12_800


def line_key(room: str) -> str:
    """The hash with a room's numbers."""
    return f"gate:{{{room}}}:line"


def history_key(room: str) -> str:
    """The stream of a room's rows."""
    return f"gate:{{{room}}}:history"


def denied_key(room: str) -> str:
    """The sorted set of a room's revoked places."""
    return f"gate:{{{room}}}:denied"


def record_key(room: str) -> str:
    """The stream of what was done to a room, and by whom."""
    return f"gate:{{{room}}}:record"


def active_key(room: str, generation: int, bucket: int) -> str:
    """The set of places whose pass is alive in one stretch of time."""
    return f"gate:{{{room}}}:active:{generation}:{bucket}"


def pre_key(room: str, gate: str, bucket: int) -> str:
    """The bitmap of one gate's pre-tickets of one stretch of time."""
    return f"gate:{{{room}}}:pre:{gate}:{bucket}"


def claimed_key(room: str, place: Place) -> str:
    """The page of bits that says whether a place was claimed."""
    return f"gate:{{{room}}}:{place.generation}:{place.era}:claimed:{place.position // PAGE_BITS}"


def ended_key(room: str, place: Place) -> str:
    """The page of bits that says whether a place's visit has ended."""
    return f"gate:{{{room}}}:{place.generation}:{place.era}:ended:{place.position // PAGE_BITS}"


def page_offset(place: Place) -> int:
    """The bit of a place within its page."""
    return place.position % PAGE_BITS
