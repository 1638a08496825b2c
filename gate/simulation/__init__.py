"""A night worked out beforehand: what a room's line, its pages and its gates will do, without running any of them.

The line moves by `core/release.py` itself, tick by tick, exactly as a gate would move it; pages read it through
`core/pointer.py` and ask again by its rule. No rule of release or of polling is written again. What is simulated
is the world around them: who comes when, who leaves, who never claims, when operators change the rate, when the
store is away.

The line is cheap (one small step each tick, however many wait), so it is worked out whole. Visitors are not, so of
many millions a sample is followed, spread evenly over the places, and each stands for as many as were left out.
"""
