"""Fuzzing: parsers one by one, and whole requests by both ways. `make fuzz` for long; short and seeded in `make test`."""
