"""Files and folders appear whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedpsma.errors import InputError
from fedpsma.io.files import (
    finished_folder,
    held_alone,
    read_json,
    read_text,
    require_own_folder,
    require_writable,
    write_json,
    write_text,
)
from fedpsma.io.pseudonym import read_or_create_key


def _fail(*_: object, **__: object) -> None:
    raise OSError("disk full")


def test_written_json_is_read_back_and_is_readable(tmp_path: Path) -> None:
    content = {"name": "Prostataloge, rechts: präsakral", "suv": [1.5, None]}
    write_json(tmp_path / "new" / "a.json", content)
    assert read_json(tmp_path / "new" / "a.json") == content
    assert "präsakral" in (tmp_path / "new" / "a.json").read_text("utf-8")


@pytest.mark.parametrize("step", ["os.replace", "os.fsync"])
def test_failure_keeps_the_old_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    write_text(tmp_path / "a.txt", "old")
    monkeypatch.setattr(step, _fail)
    with pytest.raises(OSError, match="disk full"):
        write_text(tmp_path / "a.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert read_text(tmp_path / "a.txt") == "old"


def test_folder_appears_only_when_done(tmp_path: Path) -> None:
    with finished_folder(tmp_path / "out") as draft:
        write_text(draft / "a.txt", "a")
        assert not (tmp_path / "out").exists()
    assert read_text(tmp_path / "out" / "a.txt") == "a"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("reason", [RuntimeError, KeyboardInterrupt])
def test_failure_in_a_folder_leaves_the_old_one(tmp_path: Path, reason: type[BaseException]) -> None:
    write_text(tmp_path / "out" / "a.txt", "old")

    def fill() -> None:
        with finished_folder(tmp_path / "out") as draft:
            write_text(draft / "a.txt", "new")
            raise reason

    with pytest.raises(reason):
        fill()
    assert read_text(tmp_path / "out" / "a.txt") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_finished_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "out" / "old.txt", "old")
    with finished_folder(tmp_path / "out") as draft:
        write_text(draft / "new.txt", "new")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_folder_that_cannot_be_moved_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "out" / "a.txt", "old")
    rename = Path.rename

    def fail_for_the_draft(self: Path, target: Path) -> Path:
        if target == tmp_path / "out" and ".old." not in str(self):
            raise OSError("read-only")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_draft)
    with pytest.raises(OSError, match="read-only"), finished_folder(tmp_path / "out") as draft:
        write_text(draft / "a.txt", "new")
    assert read_text(tmp_path / "out" / "a.txt") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_json_error_names_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n "a": 1,\n "b": }\n')
    with pytest.raises(InputError, match=r"a\.json: is not JSON \(line 3, column 7: Expecting value\)"):
        read_json(tmp_path / "a.json")


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\x1f\x8b\x08\x00\xff")
    with pytest.raises(InputError, match="is not a text file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match="does not exist"):
        read_json(tmp_path / "b.json")
    with pytest.raises(InputError, match="is a folder"):
        read_json(tmp_path)


@pytest.fixture(params=[0o022, 0o077, 0o007], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_files_and_folders_get_the_mode_of_the_umask(tmp_path: Path, umask: int) -> None:
    write_text(tmp_path / "a.txt", "a")
    with finished_folder(tmp_path / "out") as draft:
        write_text(draft / "b.txt", "b")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "a.txt", *tmp_path.glob("out*")]}
    assert modes == {"a.txt": 0o666 & ~umask, "out": 0o777 & ~umask}
    assert stat.S_IMODE((tmp_path / "out" / "b.txt").stat().st_mode) == 0o666 & ~umask


def test_a_key_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    read_or_create_key(tmp_path / "pseudonym.key")
    assert stat.S_IMODE((tmp_path / "pseudonym.key").stat().st_mode) == 0o600


def test_what_cannot_be_written_is_known_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    require_writable(Path("new/deep/er"))
    require_writable(tmp_path / "file")
    for path, problem in (
        (tmp_path / "file/below", "is a file"),
        (Path("/"), "has no name"),
        (tmp_path / ("ä" * 120), "is too long a name"),
    ):
        with pytest.raises(InputError, match=problem):
            require_writable(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="an administrator may write anywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        require_writable(tmp_path / "new/folder")


def test_the_right_to_write_is_asked_of_the_nearest_folder_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append(path))
    with pytest.raises(InputError, match="cannot be written"):
        require_writable(tmp_path / "new/folder")
    assert asked == [tmp_path]


def test_a_folder_is_held_by_one_process_until_it_ends(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from fedpsma.io.files import held_alone\n"
    code += "with held_alone(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="is in use by another process"), held_alone(tmp_path):
            pass
        other.kill()
    with held_alone(tmp_path):
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["thesis.txt"], r"holds something else, such as 'thesis\.txt'"),
        (["exam.json"], "holds something else"),
        (["draft.json", "exam.json", "thesis.txt"], r"holds 'thesis\.txt', which would be deleted"),
    ],
)
def test_a_folder_with_what_is_not_ours_is_not_replaced(tmp_path: Path, names: list[str], problem: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=problem):
        require_own_folder(tmp_path, "draft.json", {"exam.json"})


@pytest.mark.parametrize("names", [[], ["draft.json"], ["draft.json", "exam.json"]])
def test_an_empty_folder_and_an_earlier_one_of_ours_may_be_replaced(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    require_own_folder(tmp_path, "draft.json", {"exam.json"})
    require_own_folder(tmp_path / "new", "draft.json")
