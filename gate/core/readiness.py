"""What a gate says to whoever asks whether visitors may be sent to it."""

from enum import Enum


class Readiness(Enum):
    """The status and the word of a readiness probe.

    A gate whose store is away still forwards who is admitted and answers who waits; a load balancer that took it out
    would turn an outage of the line into one of the site. So `DEGRADED` is 200 too, and says so.
    """

    READY = (200, "ok")
    DEGRADED = (200, "degraded: the store is away")
    NOT_READY = (503, "not ready")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def text(self) -> str:
        """The body, one line."""
        return self.value[1] + "\n"
