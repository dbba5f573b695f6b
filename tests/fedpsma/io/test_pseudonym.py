"""Pseudonyms: stable under one key, unlinkable under another."""

from __future__ import annotations

import hashlib
import hmac
import stat
from pathlib import Path

import pytest

from fedpsma.errors import InputError
from fedpsma.io.pseudonym import default_key_path, pseudonym, read_or_create_key


def test_key_is_drawn_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "config" / "pseudonym.key"
    key = read_or_create_key(path)
    assert len(key) == 32
    assert read_or_create_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["pseudonym.key"]
    assert read_or_create_key(tmp_path / "other.key") != key


def test_key_that_came_meanwhile_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pseudonym.key"

    def meanwhile(*_: object) -> None:
        path.write_text("ab" * 32)
        raise FileExistsError

    monkeypatch.setattr("os.link", meanwhile)
    assert read_or_create_key(path) == bytes.fromhex("ab" * 32)


def test_pseudonym_is_the_keyed_hash() -> None:
    expected = hmac.new(b"k" * 32, b"patient:4711", hashlib.sha256).hexdigest()[:16]
    assert pseudonym(b"k" * 32, "patient", "4711") == f"patient-{expected}"
    assert pseudonym(b"k" * 32, "study", "4711") != f"study-{expected}"


@pytest.mark.parametrize("content", ["", "not a key", "ab" * 8])
def test_damaged_key_is_not_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pseudonym.key"
    path.write_text(content)
    with pytest.raises(InputError, match="holds no key"):
        read_or_create_key(path)
    assert path.read_text() == content


def test_key_lies_in_the_users_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_key_path() == tmp_path / "fedpsma" / "pseudonym.key"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert default_key_path() == Path.home() / ".config" / "fedpsma" / "pseudonym.key"
