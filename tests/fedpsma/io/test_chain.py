"""A log in which nothing can be changed, taken out or put in unnoticed, and which survives being cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedpsma.errors import InputError
from fedpsma.io import chain
from fedpsma.io.chain import FIRST, Links, append_line, line_hash, read_lines, verify_chain


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    for number in range(4):
        append_line(path, {"number": number})
    return path


def test_a_log_as_it_was_written_holds(log: Path) -> None:
    lines, end = read_lines(log)
    assert verify_chain(log) == Links(4, line_hash(lines[-1]))
    assert end == log.stat().st_size
    assert FIRST.encode() in lines[0]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: [lines[0], lines[1].replace(b"1", b"7", 1), *lines[2:]], 3),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[0], lines[1], lines[1], *lines[2:]], 3),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines, b"{}"], 5),
        (lambda lines: [*lines, b"[1]"], 5),
        (lambda lines: [*lines, b"no JSON"], 5),
    ],
)
def test_a_change_is_found_at_its_line(log: Path, change: object, line: int) -> None:
    lines, _ = read_lines(log)
    log.write_bytes(b"".join(one + b"\n" for one in change(lines)))  # type: ignore[operator]
    with pytest.raises(InputError, match=f"line {line} "):
        verify_chain(log)


def test_a_line_cut_off_is_named_and_the_next_append_takes_it_off(log: Path) -> None:
    with open(log, "ab") as stream:
        stream.write(b'{"number": 4, "prev')
    with pytest.raises(InputError, match="line 5 was cut off"):
        verify_chain(log)
    assert len(read_lines(log)[0]) == 4
    append_line(log, {"number": 5})
    assert verify_chain(log).lines == 5


def test_a_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        verify_chain(tmp_path / "none.jsonl")


@pytest.mark.parametrize("left_over", [b"", b'{"cut', b"x" * 40])
def test_lines_longer_than_a_block_follow_each_other(
    tmp_path: Path, left_over: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "_BLOCK_BYTES", 7)
    path = tmp_path / "log.jsonl"
    for number in range(5):
        path.write_bytes((path.read_bytes() if path.exists() else b"") + left_over)
        append_line(path, {"number": number, "text": "y" * number})
    assert verify_chain(path).lines == 5
