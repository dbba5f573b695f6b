"""The ledger: on the disk before anything is trained, whole after any crash, and trusted only when its chain holds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.ledger import Ledger, LedgerError, RoundKey
from fedpsma.training.charge import Charge

KEY = RoundKey(run="r", round=1, model_sha256="0" * 64, delta=0.01)
CHARGE = Charge(sample_rate=0.1, noise_multiplier=1.5, steps=8)


def _ledger(folder: Path) -> Ledger:
    return Ledger(folder / "state" / "ledger.jsonl")


def _charge(ledger: Ledger, charge: Charge | None = CHARGE) -> int:
    with ledger.locked():
        return ledger.charge(KEY, charge)


def test_a_ledger_without_file_is_empty(tmp_path: Path) -> None:
    assert _ledger(tmp_path).history() == ()


def test_every_charge_counts_whether_its_round_was_released_failed_or_never_closed(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    ledger.path.parent.mkdir()
    ledger_entries = [_charge(ledger), _charge(ledger), _charge(ledger, None)]
    ledger.close(ledger_entries[0], "released")
    ledger.close(ledger_entries[1], "failed")
    assert Ledger(ledger.path).history() == (CHARGE, CHARGE, None)


def test_an_entry_is_synced_before_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    ledger = _ledger(tmp_path)
    sync = os.fsync

    def remember(handle: int) -> None:
        sync(handle)
        synced.append(ledger.path.read_bytes())

    monkeypatch.setattr(os, "fsync", remember)
    _charge(ledger)
    assert synced[0].endswith(b"\n")
    assert json.loads(synced[0])["charge"]["steps"] == 8
    assert len(synced) == 2, "the folder of a new file has to be synced, too"


@given(cut=st.integers(min_value=1))
def test_a_line_cut_off_is_dropped_and_the_chain_goes_on(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    ledger = _ledger(tmp_path_factory.mktemp("ledger"))
    _charge(ledger)
    whole = ledger.path.read_bytes()
    _charge(ledger)
    second = ledger.path.read_bytes()[len(whole) :]
    ledger.path.write_bytes(whole + second[: cut % len(second)])
    assert ledger.history() == (CHARGE,)
    _charge(ledger, None)
    assert ledger.history() == (CHARGE, None)


@pytest.mark.parametrize("damage", ["deleted", "edited", "swapped", "garbled"])
def test_a_ledger_that_was_tampered_with_is_not_trusted(tmp_path: Path, damage: str) -> None:
    ledger = _ledger(tmp_path)
    for _ in range(3):
        _charge(ledger)
    first, second, third, _ = ledger.path.read_bytes().split(b"\n")
    lines = {
        "deleted": [second, third],
        "edited": [first.replace(b"1.5", b"9.5"), second, third],
        "swapped": [first, third, second],
        "garbled": [first, second[:20], third],
    }[damage]
    ledger.path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(LedgerError, match=r"line [12]"):
        ledger.history()


@pytest.mark.parametrize("anchored", [True, False])
@pytest.mark.parametrize("damage", ["lost", "older copy"])
def test_a_round_is_not_closed_in_a_ledger_that_was_lost_or_set_back_while_it_trained(
    tmp_path: Path, anchored: bool, damage: str
) -> None:
    ledger = Ledger(tmp_path / "data" / "ledger.jsonl", tmp_path / "ledger.anchor" if anchored else None)
    ledger.close(_charge(ledger), "released")
    old = ledger.path.read_bytes()
    number = _charge(ledger)
    anchor = ledger.anchor.read_bytes() if ledger.anchor else b""
    whole = ledger.path.read_bytes()
    ledger.path.unlink()
    if damage == "older copy":
        ledger.path.write_bytes(old)
    with pytest.raises(LedgerError, match="bring back what was lost"):
        ledger.close(number, "released")
    assert (ledger.path.read_bytes() if ledger.path.exists() else b"") == (old if damage == "older copy" else b"")
    if ledger.anchor:
        assert ledger.anchor.read_bytes() == anchor
        with pytest.raises(LedgerError, match="bring back what was lost"):
            _charge(ledger)
    ledger.path.write_bytes(whole)
    ledger.close(number, "released")
    assert ledger.entries()[-1].outcome == "released"


def test_an_append_never_sets_the_anchor_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path / "data" / "ledger.jsonl", tmp_path / "ledger.anchor")
    for _ in range(3):
        _charge(ledger)
    anchor, old = (tmp_path / "ledger.anchor").read_bytes(), ledger.path.read_bytes()[:-1]

    def set_back(path: Path, line: bytes) -> None:
        path.write_bytes(old[: old.find(b"\n") + 1] + line + b"\n")

    monkeypatch.setattr("client.ledger.write_line", set_back)
    with pytest.raises(LedgerError, match="2 lines and had 3"):
        _charge(ledger)
    assert (tmp_path / "ledger.anchor").read_bytes() == anchor
