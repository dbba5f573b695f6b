"""What ``fedpsma doctor`` looks at: the environment, the devices and the files a user needs.

A folder outside the library adds its own checks as an entry point of the group ``fedpsma.doctor``: a function without
arguments that yields :class:`CheckResult`.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fedpsma.offline import open_switches

CHECKS_GROUP = "fedpsma.doctor"
DISTRIBUTION = "fedpsma"
FOLDERS = ("server", "client", "reporting", "demo")
GIB = 2**30
LEAST_MEMORY_GIB = 4.0
LEAST_DISK_GIB = 2.0


@dataclass(frozen=True)
class CheckResult:
    """One line of the doctor: what was looked at, what was found, and what to do.

    ``absent`` is something optional that is not there; only ``problem`` makes the doctor fail.
    """

    name: str
    state: Literal["passed", "absent", "problem"]
    detail: str
    remedy: str = ""


def run_checks() -> Iterator[CheckResult]:
    """Look at everything, one result after the other; a check that itself fails is a problem, not the end."""
    added = [(entry.name, entry.load) for entry in metadata.entry_points(group=CHECKS_GROUP)]
    own: list[tuple[str, Callable[[], Iterable[CheckResult]]]] = [
        ("python", check_python),
        ("packages", check_packages),
        ("devices", check_devices),
        ("room", check_room),
        ("offline", check_offline),
        ("names", check_names),
        ("base checkpoint", check_checkpoint),
    ]
    for name, check in own:
        yield from _guarded(name, check)
    for name, load in added:
        yield from _guarded(name, lambda load=load: load()())  # type: ignore[misc]


def check_python() -> Iterator[CheckResult]:
    """Compare the running Python with what the package asks for."""
    wanted = metadata.metadata(DISTRIBUTION)["Requires-Python"]
    running = platform.python_version()
    if Requirement(f"python{wanted}").specifier.contains(running, prereleases=True):
        yield CheckResult("python", "passed", f"{running} ({wanted})")
    else:
        yield CheckResult("python", "problem", f"{running} instead of {wanted}", "make a new environment")


def check_packages() -> Iterator[CheckResult]:
    """Compare the installed packages with the declared ones, the core and each extra."""
    groups: dict[str, list[Requirement]] = {}
    for line in metadata.requires(DISTRIBUTION) or ():
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) != DISTRIBUTION:
            groups.setdefault(_extra_of(requirement), []).extend([requirement, *_brought_by_extras(requirement)])
    for extra, requirements in groups.items():
        yield _check_group(extra, requirements)


def check_devices() -> Iterator[CheckResult]:
    """Name the devices torch can compute on, and its threads."""
    import torch

    names = [f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
    names += ["mps"] if torch.backends.mps.is_available() else []
    detail = ", ".join([*names, f"cpu with {torch.get_num_threads()} threads"])
    yield CheckResult("devices", "passed", detail)


def check_room() -> Iterator[CheckResult]:
    """Look for memory and for room on the disk of the working folder."""
    memory = available_memory_gib()
    if memory is None:
        yield CheckResult("memory", "absent", "this system does not tell how much is free")
    else:
        yield _enough("memory", memory, LEAST_MEMORY_GIB, "close other programs, or use a larger machine")
    disk = shutil.disk_usage(Path.cwd()).free / GIB
    yield _enough("disk", disk, LEAST_DISK_GIB, "make room, or work in another folder")


def check_offline() -> Iterator[CheckResult]:
    """Look for switches in the environment that let a library call out."""
    switches = open_switches()
    if not switches:
        yield CheckResult("offline", "passed", "no library may call out")
    for name, value in switches.items():
        yield CheckResult("offline", "problem", f"{name}={value} lets a library call out", f"unset {name}")


def check_names() -> Iterator[CheckResult]:
    """Look for another distribution, or a folder earlier on the path, that owns the name of one of our folders."""
    root = Path(str(resources.files("fedpsma"))).resolve().parent
    owners = metadata.packages_distributions()
    clean = True
    for name in FOLDERS:
        others = sorted({owner for owner in owners.get(name, ()) if canonicalize_name(owner) != DISTRIBUTION})
        found = _place_of(name)
        if others:
            detail, remedy = f"{name} belongs to {', '.join(others)} as well", "use an environment of its own"
        elif found is None:
            detail, remedy = f"{name} cannot be imported", "install fedpsma again"
        elif found.parent != root:
            detail, remedy = f"{name} is imported from {found}", "start from another folder, or rename that one"
        else:
            continue
        clean = False
        yield CheckResult("names", "problem", detail, remedy)
    if clean:
        yield CheckResult("names", "passed", f"{', '.join(FOLDERS)} are ours alone")


def check_checkpoint() -> Iterator[CheckResult]:
    """Look for the base checkpoint that ships with the package."""
    path = resources.files("fedpsma").joinpath("model/data/base.safetensors")
    if path.is_file():
        yield CheckResult("base checkpoint", "passed", f"{len(path.read_bytes()) / 1e6:.1f} MB")
    else:
        yield CheckResult(
            "base checkpoint", "problem", "is not in the package", "install fedpsma again from its wheel or repository"
        )


def available_memory_gib() -> float | None:
    """Return the memory a new program can use in GiB, ``None`` where the system does not tell (macOS, Windows)."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 / GIB if found else None


def _guarded(name: str, check: Callable[[], Iterable[CheckResult]]) -> Iterator[CheckResult]:
    try:
        yield from check()
    except Exception as error:
        detail = f"the check failed: {type(error).__name__}: {error}"
        yield CheckResult(name, "problem", detail, "install fedpsma again")


def _extra_of(requirement: Requirement) -> str:
    """Return the extra of a requirement, empty for the core.

    Example:
        >>> _extra_of(Requirement('gradio; extra == "demo"')), _extra_of(Requirement("numpy"))
        ('demo', '')
    """
    if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
        return ""
    extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    return next((extra for extra in extras if requirement.marker.evaluate({"extra": extra})), "")


def _brought_by_extras(requirement: Requirement) -> list[Requirement]:
    """Return what, for example, ``flwr[simulation]`` asks for beyond ``flwr``; empty while the package is missing."""
    if _version(requirement.name) is None:
        return []
    asked = [Requirement(line) for line in metadata.requires(requirement.name) or ()]
    return [
        one
        for one in asked
        if one.marker is not None
        and not one.marker.evaluate({"extra": ""})
        and any(one.marker.evaluate({"extra": extra}) for extra in requirement.extras)
    ]


def _check_group(extra: str, requirements: list[Requirement]) -> CheckResult:
    installed = {one.name: _version(one.name) for one in requirements}
    missing = [name for name, version in installed.items() if version is None]
    wrong = [
        f"{one.name} {installed[one.name]} instead of {one.specifier}"
        for one in requirements
        if installed[one.name] is not None and not one.specifier.contains(installed[one.name] or "", prereleases=True)
    ]
    name = f"packages [{extra}]" if extra else "packages"
    target = f"{DISTRIBUTION}[{extra}]" if extra else DISTRIBUTION
    remedy = f"pip install '{target}'"
    if wrong or (missing and not extra):
        return CheckResult(name, "problem", "; ".join([*wrong, *(f"{one} is missing" for one in missing)]), remedy)
    if missing:
        return CheckResult(name, "absent", f"{', '.join(missing)} not installed", remedy)
    return CheckResult(name, "passed", ", ".join(f"{one} {version}" for one, version in installed.items()))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _place_of(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return Path(os.path.realpath(places[0])).parent if spec.origin else Path(os.path.realpath(places[0]))


def _enough(name: str, found_gib: float, least_gib: float, remedy: str) -> CheckResult:
    if found_gib >= least_gib:
        return CheckResult(name, "passed", f"{found_gib:.1f} GiB free")
    return CheckResult(name, "problem", f"{found_gib:.1f} GiB free, {least_gib:g} GiB wanted", remedy)
