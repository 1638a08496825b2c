"""Tests of what a request is, and who shows it, run twice: with the lanes, and with everything by the ordinary way."""

from tests.ways import way

__all__ = ["way"]
# Connections, bodies, pages and operators never meet a lane, or meet the same one each time.
_ONCE = ("test_hygiene", "test_limits", "test_operations", "test_pages", "test_rows", "test_slow_clients")


def pytest_generate_tests(metafunc):
    """Both ways, where they may differ."""
    once = metafunc.module.__name__.rpartition(".")[2] in _ONCE
    metafunc.parametrize("way", ["lanes"] if once else ["lanes", "ordinary"], indirect=True)
