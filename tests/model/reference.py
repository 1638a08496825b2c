"""A reference model of one room: single-threaded, obvious, slow. The oracle for the core and the real store.

It keeps everything the product refuses to keep: every join, every claim, every release with its time.
"""

from dataclasses import dataclass, field


@dataclass
class Model:
    """What must hold of a room, whoever moves it."""

    rate: float
    burst: float
    max_issued: int | None = None
    mode: str = "auto"
    dealt: list[int] = field(default_factory=list)
    serials: set[int] = field(default_factory=set)
    claimed: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    pointer: int = 0
    allowance: float = 0.0
    at: float = 0.0

    @property
    def cap(self) -> float:
        """The most that may be released at once."""
        return max(self.burst, 1.0) + self.rate * 0.25

    def earn(self, now: float) -> None:
        """Time goes by: release is earned, never more than the cap is kept."""
        if self.mode in ("auto", "closed"):
            self.allowance = min(self.allowance + self.rate * (now - self.at), self.cap)
        self.at = now

    def may_deal(self, serial: int) -> int:
        """What a join with this proof is answered: a position, 0 or -1."""
        if self.mode == "closed" or (self.max_issued is not None and len(self.dealt) >= self.max_issued):
            return 0
        if serial in self.serials:
            return -1
        self.serials.add(serial)
        self.dealt.append(len(self.dealt) + 1)
        return self.dealt[-1]

    def moved_to(self, pointer: int) -> None:
        """The pointer was seen here: law 3, law 4 and the end of the line."""
        assert pointer >= self.pointer, "law 3: never back"
        assert pointer <= len(self.dealt), "never past the last place dealt"
        released = pointer - self.pointer
        assert released <= self.allowance + 1e-6, f"law 4: {released} released, {self.allowance:.3f} earned"
        if released:
            assert self.mode in ("auto", "closed")
        self.allowance -= released
        self.pointer = pointer

    def must_have_moved(self) -> None:
        """Nobody is held back: whole visitors that are due and wait have been let in."""
        if self.mode in ("auto", "closed") and self.pointer < len(self.dealt):
            assert self.allowance < 1 + 1e-6, "law 4: release was due and not given"

    def change(self, **settings: object) -> None:
        """An operator's change: what is owed is kept, cut to the new cap; leaving hold or off starts afresh."""
        moved = self.mode in ("auto", "closed")
        for name, value in settings.items():
            setattr(self, name, value)
        self.allowance = min(self.allowance, self.cap) if moved and self.mode in ("auto", "closed") else 0.0

    def claim(self, position: int) -> int:
        """What a claim is answered: 1 done, 0 not served yet, -2 ended."""
        if position > self.pointer:
            return 0
        if position in self.ended:
            return -2
        self.claimed.add(position)
        return 1
