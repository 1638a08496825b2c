"""The key file: made once, 0600, replaced whole, refused when others can read it."""

import json
import stat

import pytest

from gate.core.keyring import Algorithm
from gate.keyfile import KeyFileError, load_or_make, read, rotate


def test_it_is_made_once_and_private(tmp_path):
    """The second start reads what the first made."""
    path = tmp_path / "state" / "keys.json"
    first = load_or_make(path, Algorithm.HS256)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make(path, Algorithm.HS256).keys[0].secret == first.keys[0].secret


def test_a_file_open_to_others_is_refused(tmp_path):
    """With the command that mends it."""
    path = tmp_path / "keys.json"
    load_or_make(path, Algorithm.HS256)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"created_ms": 1, "keys": [{"kid": "a", "secret": "aGk="}]}'])
def test_a_broken_file_is_refused_without_its_contents(tmp_path, text):
    """Which file, and what is wrong; never a secret."""
    path = tmp_path / "keys.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="is not a key ring") as caught:
        read(path)
    assert "aGk" not in str(caught.value)


def test_rotation_adds_a_key_and_drops_the_long_dead(tmp_path):
    """Old keys stay as long as a token of theirs may live; then they go."""
    path = tmp_path / "keys.json"
    born = load_or_make(path, Algorithm.HS256)
    rotated = rotate(path, Algorithm.EDDSA, keep_seconds=3600)
    assert [key.pass_algorithm for key in rotated.keys] == [Algorithm.HS256, Algorithm.EDDSA]
    assert rotated.created_ms == born.created_ms
    data = json.loads(path.read_text())
    for entry in data["keys"]:
        entry["created_ms"] -= 7_200_000
    path.write_text(json.dumps(data))
    assert len(rotate(path, Algorithm.HS256, keep_seconds=3600).keys) == 2
