"""Every test of this folder runs twice: with the lanes, and with everything by the ordinary way."""

from tests.ways import pytest_generate_tests, way

__all__ = ["pytest_generate_tests", "way"]
