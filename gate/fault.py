"""What is wrong with a configuration, as people are told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a configuration: where, which key, what is wrong, what is allowed."""

    where: str
    key: str
    wrong: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.wrong}; allowed: {self.allowed}"


class ConfigError(Exception):
    """A configuration that cannot be used, with all of its faults."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults
