"""Every test of a folder that takes these into its conftest runs twice: with the lanes, and with all of them shut."""

import pytest

from gate.web.lanes import Lanes


def pytest_generate_tests(metafunc):
    """Both ways; but a file about a lane compares the two itself."""
    both = ["lanes"] if metafunc.module.__name__.endswith("_lane") else ["lanes", "ordinary"]
    if "way" in metafunc.fixturenames:
        metafunc.parametrize("way", both, indirect=True)


@pytest.fixture(autouse=True)
def way(request, monkeypatch):
    """What is answered does not depend on who answers it."""
    if request.param == "ordinary":
        monkeypatch.setattr(Lanes, "take", lambda *_: None)
    return request.param
