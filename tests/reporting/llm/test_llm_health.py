"""What the doctor says about the language model."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest

from fedpsma.health import CHECKS_GROUP, CheckResult
from reporting.llm import store
from reporting.llm.health import check_language_model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path))
    return tmp_path


def _result() -> CheckResult:
    (result,) = check_language_model()
    return result


def test_the_doctor_finds_the_check() -> None:
    assert check_language_model in [entry.load() for entry in entry_points(group=CHECKS_GROUP)]


@pytest.mark.usefixtures("cache")
def test_model_that_was_not_fetched_is_absent_and_says_how_to_fetch_it() -> None:
    result = _result()
    assert (result.state, result.remedy) == ("absent", "fedpsma model fetch")
    assert "is not on this machine; reports use template sentences" in result.detail


@pytest.mark.usefixtures("cache")
def test_missing_packages_are_absent_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PACKAGES", ("no_such_package",))
    result = _result()
    assert (result.state, result.remedy) == ("absent", 'pip install "fedpsma[report]"')
    assert "no_such_package" in result.detail


def test_model_that_is_ready_is_named(cache: Path) -> None:
    store.model_folder().mkdir()
    (store.model_folder() / store.ORIGIN_FILE).write_text(store.embedded_model().model_dump_json())
    assert _result().state == "passed"
    assert store.embedded_model().name in _result().detail
