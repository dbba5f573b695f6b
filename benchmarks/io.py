"""What reading, turning and making studies costs, beside the tools of the field that do the same work.

Four tables: DICOM import against dcm2niix (time, and that both put the same value in the same place), orientation and
resampling against MONAI, and phantom patients a site. Run it with ``python benchmarks/io.py``, or with ``--quick`` for
fewer repeats and patients. Everything runs on one thread. The real series is used where it lies beside the checkout.
"""

from __future__ import annotations

import os

# Read by the libraries below when they start; on shared machines only one thread gives a stable ratio.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fedpsma.domain.study import Study
from fedpsma.io.dicom.convert import DicomOptions, convert_study
from fedpsma.io.dicom.find import find_studies
from fedpsma.io.files import write_json
from fedpsma.io.importing.source import ImportedStudy
from fedpsma.io.nifti import Volume, read_volume, write_volume
from fedpsma.io.orientation import to_working_orientation
from fedpsma.io.resample import CT_OUTSIDE_HU, ct_on_grid
from fedpsma.phantom.sites import site_profiles

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared/data/sts_001_raw"
OPTIONS = DicomOptions(key=bytes(32))
SYNTHETIC_SHAPE = (128, 128, 267)
PHANTOM_MM = 4.0
PHANTOM_CHILD = """
import json, resource, sys, time
from fedpsma.phantom.patient import PhantomOptions, draw_patient
site, spacing, count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
options = PhantomOptions(spacing_mm=spacing or None)
seconds = []
for index in range(count):
    started = time.perf_counter()
    patient = draw_patient(site, index, 1, options)
    seconds.append(time.perf_counter() - started)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([seconds, peak / 1024, patient.study.pet.shape]))
"""


@dataclass(frozen=True)
class Timed:
    """Seconds of each repeat."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The repeat in the middle."""
        return statistics.median(self.seconds)

    @property
    def cells(self) -> tuple[str, str, str]:
        """Median, least and largest, as a table shows them."""
        return f"{self.median:.2f}", f"{min(self.seconds):.2f}", f"{max(self.seconds):.2f}"


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats and patients")
    repeats = 3 if parser.parse_args().quick else 7
    console = Console()
    # First, since a process counts the memory of the one that started it into its own peak.
    _phantom_table(repeats, console)
    with tempfile.TemporaryDirectory() as folder:
        _dicom_tables(Path(folder), repeats, console)
    _monai_tables(repeats, console)


def _dicom_tables(place: Path, repeats: int, console: Console) -> None:
    for title, series in (("real series", _real_series(place)), ("synthetic series", _synthetic_series(place))):
        if series is None:
            console.print(f"{title}: not measured, {REAL} does not exist")
        elif (rival := _dcm2niix()) is None:
            console.print(f"{title}: not measured, dcm2niix is not installed (pip install dcm2niix)")
        else:
            _dicom_table(title, series, place, repeats, rival, console)


def _dicom_table(title: str, series: Path, place: Path, repeats: int, rival: str, console: Console) -> None:
    files = sum(path.is_file() for path in series.rglob("*"))
    out = place / "out"
    study = find_studies(series).studies[0]
    works: dict[str, Callable[[], Any]] = {
        "our index of the headers": lambda: find_studies(series),
        "our conversion in memory": lambda: convert_study(study, OPTIONS),
    }
    for packed, (name, how) in _PACKED.items():
        works[f"fedpsma, folder to {packed}"] = lambda name=name: _import(series, out / name)
        works[f"dcm2niix, folder to {packed}"] = lambda how=how: _run(rival, series, place / "theirs", how)
    timed = dict(zip(works, _time(tuple(works.values()), repeats), strict=True))
    table = _table(f"{title}: {files} files", "step", "s", "min", "max", "of dcm2niix")
    for step, one in timed.items():
        beside = timed.get(step.replace("fedpsma", "dcm2niix"))
        table.add_row(step, *one.cells, "" if beside is None or step.startswith("our") else _ratio(one, beside))
    console.print(table)
    console.print(_compare(convert_study(study, OPTIONS), series, place / "theirs", rival), soft_wrap=True)


# What we call the file, and the options by which dcm2niix packs its own alike.
_PACKED = {".nii": ("pet.nii", ("-z", "n")), ".nii.gz, level 1": ("pet.nii.gz", ("-z", "y", "-1"))}


def _import(series: Path, target: Path) -> None:
    (study,) = find_studies(series).studies
    imported = convert_study(study, OPTIONS)
    write_volume(target, imported.study.pet, imported.study.affine)
    write_json(target.parent / "study.json", imported.provenance.model_dump(mode="json"))


def _run(rival: str, series: Path, out: Path, how: tuple[str, ...]) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    command = [rival, *how, "-b", "y", "-f", "theirs", "-o", str(out), str(series)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def _compare(imported: ImportedStudy, series: Path, out: Path, rival: str) -> str:
    """Say how far our SUV lies from dcm2niix's Bq/ml times our factor, and our affine from its own."""
    _run(rival, series, out, ("-z", "n"))
    written = sorted(out.glob("theirs*.nii"))
    lines = []
    for path in written:
        theirs, ours = read_volume(path), imported.study
        name = path.name
        if theirs.data.shape != ours.pet.shape:
            lines.append(f"  {name}: shape {theirs.data.shape}, ours {ours.pet.shape}")
            continue
        apart = np.abs(ours.pet - theirs.data * np.float32(imported.provenance.suv.factor)).max() / ours.pet.max()
        corners = np.array([[x, y, z, 1.0] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * [*ours.pet.shape, 1]
        shift = np.abs(corners @ (ours.affine - theirs.affine).T).max()
        lines.append(f"  {name}: values differ by at most {apart:.1e} of the maximum, places by {shift:.1e} mm")
    return "against dcm2niix, both in RAS+:\n" + "\n".join(lines)


def _real_series(place: Path) -> Path | None:
    archives = sorted(REAL.glob("*.tar.xz"))
    if not archives:
        return None
    with tarfile.open(archives[0]) as archive:
        # Without the contours, which dcm2niix does not read.
        archive.extractall(place / "real", [one for one in archive if "/image/" in one.name], filter="data")
    return place / "real"


def _synthetic_series(place: Path) -> Path:
    """Write a PET of noise and one hot corner, as many slices as the real series, each with its own slope."""
    sys.path.append(str(ROOT / "tests/helpers"))
    from dicom_writer import write_dicom_study

    pet = np.random.default_rng(1).gamma(2.0, 0.5, SYNTHETIC_SHAPE).astype(np.float32)
    pet[100:110, 20:30, 200:220] += 10
    affine = np.diag([4.6875, 4.6875, 3.27, 1.0])
    affine[:3, 3] = -300, -280, -900
    write_dicom_study(place / "synthetic", Study("synthetic", "synthetic", pet, affine))
    return place / "synthetic"


def _dcm2niix() -> str | None:
    beside = Path(sys.executable).with_name("dcm2niix")
    return str(beside) if beside.is_file() else shutil.which("dcm2niix")


def _monai_tables(repeats: int, console: Console) -> None:
    import torch
    from monai.data import MetaTensor
    from monai.transforms import Orientation, SpatialResample

    torch.set_num_threads(1)
    data, affine = _odd_volume()
    tensor = MetaTensor(torch.from_numpy(data)[None], affine=torch.from_numpy(affine))
    turn = Orientation(axcodes="RAS", labels=(("L", "R"), ("P", "A"), ("I", "S")))
    # MONAI returns a view with strides; the copy that the next step would make belongs to the work.
    apart = _both(
        console,
        f"orientation, {data.size / 1e6:.0f} M voxels float32 from PSR",
        lambda: to_working_orientation(data, affine)[0],
        lambda: turn(tensor).contiguous(),
        repeats,
    )
    console.print(f"  largest difference {apart:g}")

    ct, shape, grid = _ct_and_grid()
    source = MetaTensor(torch.from_numpy(ct.data)[None], affine=torch.from_numpy(ct.affine))
    resample = SpatialResample(mode="bilinear", padding_mode="zeros", align_corners=True, dtype=torch.float32)
    target = torch.from_numpy(grid)
    apart = _both(
        console,
        f"CT {'x'.join(map(str, ct.data.shape))} to the PET grid {'x'.join(map(str, shape))}, linear",
        lambda: ct_on_grid(ct, shape, grid),
        lambda: resample(source, dst_affine=target, spatial_size=shape),
        repeats,
        inside=True,
    )
    console.print(f"  largest difference within the CT {apart:g} HU")


def _both(
    console: Console,
    title: str,
    ours: Callable[[], Any],
    theirs: Callable[[], Any],
    repeats: int,
    *,
    inside: bool = False,
) -> float:
    """Time both, print the table and return the largest difference of their results."""
    found, reference = np.asarray(ours()), np.asarray(theirs())[0]
    us, them = _time((ours, theirs), repeats)
    table = _table(title, "", "s", "min", "max", "of MONAI")
    table.add_row("fedpsma", *us.cells, _ratio(us, them))
    table.add_row("MONAI", *them.cells, "1.00")
    console.print(table)
    # Where the CT does not reach, the two were asked for different values.
    compared = found > CT_OUTSIDE_HU if inside else np.ones(found.shape, bool)
    return float(np.abs(found[compared] - reference[compared]).max())


def _odd_volume() -> tuple[np.ndarray, np.ndarray]:
    data = np.random.default_rng(2).normal(size=(400, 300, 128)).astype(np.float32)
    affine = np.array([[0, 0, 2.0, -90], [-2.0, 0, 0, 300], [0, 3.0, 0, -400], [0, 0, 0, 1]])
    return data, affine


def _ct_and_grid() -> tuple[Volume, tuple[int, int, int], np.ndarray]:
    """Make a smooth CT, since both interpolate linearly but round differently, and a PET grid that it covers."""
    x, y, z = np.ogrid[:512, :512, :300]
    ct = (500 * np.sin(x / 40) * np.cos(y / 50) + 300 * np.sin(z / 30)).astype(np.float32)
    ct_affine = np.diag([0.9766, 0.9766, 3.0, 1.0])
    ct_affine[:3, 3] = -250, -250, -900
    pet_affine = np.diag([2.4, 2.4, 2.95, 1.0])
    pet_affine[:3, 3] = -240, -240, -895
    return Volume(ct, ct_affine), (200, 200, 300), pet_affine


def _phantom_table(repeats: int, console: Console) -> None:
    table = _table("one phantom patient, in a process of its own", "site", "mm", "voxels", "s", "min", "max", "MiB")
    for site in site_profiles():
        for spacing in (0.0, PHANTOM_MM):
            command = [sys.executable, "-c", PHANTOM_CHILD, site, str(spacing), str(repeats)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
            seconds, peak_mib, shape = json.loads(done.stdout)
            size = "x".join(map(str, shape))
            table.add_row(site, f"{spacing:g}" if spacing else "own", size, *Timed(seconds).cells, f"{peak_mib:.0f}")
    console.print(table)


def _time(works: Sequence[Callable[[], Any]], repeats: int) -> list[Timed]:
    """Time works in turn, so that what else the machine does falls on all of them; a first round warms caches up."""
    rounds = []
    for _ in range(repeats + 1):
        seconds = []
        for work in works:
            started = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - started)
        rounds.append(seconds)
    return [Timed(column) for column in zip(*rounds[1:], strict=True)]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, min_width=len(title))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _ratio(one: Timed, other: Timed) -> str:
    return f"{one.median / other.median:.2f}"


if __name__ == "__main__":
    main()
