"""The rules of the line, as values and functions: no socket, no store, no clock, no randomness.

Theory. A *room* protects some URLs. A visitor *joins* and gets a *ticket*: a signed proof of a *place*
`(generation, era, position)`. Places compare in that order, everywhere. The room's pointer, *now serving*,
is itself a place; whoever stands at or below it may enter and swaps the ticket for a *pass*. Every forwarded
request carries a pass.

A *line* (`line.py`) is what the store said of a room at one moment. `release.py` says how far the pointer may
move by now; `tokens.py` says what a string from outside proves; `decision.py` says, from the facts of one
request and the line, what must be done with it. Whoever calls does the I/O. `now` is always the store's clock
in Unix seconds, passed in, so that hours can go by in a test without a sleep.

    request ─▶ target ─▶ rooms ─▶ fetch ─▶ decision ─▶ (enact: web)
    line + now ─▶ release.plan ─▶ Advance ─▶ (compare and set: store)
"""
