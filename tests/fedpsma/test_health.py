"""The doctor's checks, each with the fault it is there for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from fedpsma import health
from fedpsma.health import CheckResult
from fedpsma.offline import SWITCHES


def _requires(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    real = metadata.requires
    monkeypatch.setattr(metadata, "requires", lambda name: list(lines) if name == "fedpsma" else real(name))


def test_missing_and_wrong_core_packages_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    _requires(monkeypatch, "numpy>=1", "numpy<1", "no-such-package>=2")
    (result,) = health.check_packages()
    assert result.state == "problem"
    assert f"numpy {metadata.version('numpy')} instead of <1" in result.detail
    assert "no-such-package is missing" in result.detail
    assert result.remedy == "pip install 'fedpsma'"


def test_missing_extra_is_absent_and_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _requires(monkeypatch, "numpy>=1", 'no-such-package>=2; extra == "report"')
    core, extra = health.check_packages()
    assert core.state == "passed"
    assert (extra.name, extra.state) == ("packages [report]", "absent")
    assert extra.remedy == "pip install 'fedpsma[report]'"


def test_wrong_version_in_an_extra_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    _requires(monkeypatch, 'numpy<1; extra == "demo"')
    (result,) = health.check_packages()
    assert (result.name, result.state) == ("packages [demo]", "problem")


def test_extras_of_a_requirement_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an extra of another package brings is looked for as well."""
    mine = {"fedpsma": ['numpy[fast]>=1; extra == "simulation"'], "numpy": ['no-such-package; extra == "fast"', "rich"]}
    monkeypatch.setattr(metadata, "requires", lambda name: mine[name])
    (result,) = health.check_packages()
    assert (result.state, result.detail) == ("absent", "no-such-package not installed")


def test_old_python_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.10.4")
    (result,) = health.check_python()
    assert (result.state, result.detail) == ("problem", "3.10.4 instead of >=3.11")


def test_open_switch_is_a_problem_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SWITCHES.items():
        monkeypatch.setenv(name, value)
    assert [result.state for result in health.check_offline()] == ["passed"]
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    (result,) = health.check_offline()
    assert (result.state, result.remedy) == ("problem", "unset HF_HUB_OFFLINE")


def test_our_folders_are_ours_here() -> None:
    assert [result.state for result in health.check_names()] == ["passed"]


def test_another_distribution_with_our_name_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = {name: ["fedpsma"] for name in health.FOLDERS}
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {**owners, "server": ["fedpsma", "old-server"]})
    (result,) = health.check_names()
    assert (result.state, result.detail) == ("problem", "server belongs to old-server as well")


def test_folder_earlier_on_the_path_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "client", raising=False)
    (result,) = health.check_names()
    assert (result.state, result.detail) == ("problem", f"client is imported from {tmp_path / 'client'}")


def test_little_room_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "available_memory_gib", lambda: 1.0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**29))
    assert [(one.name, one.state) for one in health.check_room()] == [("memory", "problem"), ("disk", "problem")]


def test_unknown_memory_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "available_memory_gib", lambda: None)
    assert next(iter(health.check_room())).state == "absent"


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="this system has no /proc/meminfo")
def test_memory_is_that_of_the_system() -> None:
    import psutil

    assert health.available_memory_gib() == pytest.approx(psutil.virtual_memory().available / 2**30, rel=0.2)


def test_checks_of_other_folders_are_run_and_a_failing_one_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def good() -> Iterator[CheckResult]:
        yield CheckResult("language model", "absent", "not there", "fedpsma model fetch")

    def bad() -> Iterator[CheckResult]:
        raise RuntimeError("boom")

    added = [SimpleNamespace(name="good", load=lambda: good), SimpleNamespace(name="bad", load=lambda: bad)]
    monkeypatch.setattr(metadata, "entry_points", lambda group: added if group == health.CHECKS_GROUP else [])
    results = list(health.run_checks())
    assert results[-2].name == "language model"
    assert (results[-1].name, results[-1].state) == ("bad", "problem")
    assert "RuntimeError: boom" in results[-1].detail


def test_checkpoint_that_is_not_there_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    assert [result.state for result in health.check_checkpoint()] == ["problem"]
    (tmp_path / "model/data").mkdir(parents=True)
    (tmp_path / "model/data/base.safetensors").write_bytes(bytes(1_500_000))
    (result,) = health.check_checkpoint()
    assert (result.state, result.detail) == ("passed", "1.5 MB")
