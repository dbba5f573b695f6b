"""Classical candidates of a whole scan: ours beside the plain scikit-image way, how alike they are, and what it costs.

The plain way is that of the textbook: h-maxima of log(SUV) by morphological reconstruction, a watershed from them, and
in each basin what hangs together with its hottest voxel at 45 % of it and more. Ours gives the same without
reconstruction and without flooding. Scans: a synthetic patient on a grid of 15 million voxels, and where it lies
beside the checkout a real one, on its own grid and resampled to 15 million. A second table has the foci of one patient
with 300 lesions, as the network's path finds them. Run it with ``python benchmarks/candidates.py``, or with ``--quick``
for the smallest scan alone. Everything runs on one thread; most of the time goes into the plain way.
"""

from __future__ import annotations

import os

# Read by the libraries below when they start; on shared machines only one thread gives a stable ratio.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.io.study_loader import load_study
from fedpsma.lesions.candidates import find_candidates
from fedpsma.lesions.classical import classical_candidates
from fedpsma.lesions.foci import FocusOptions, find_foci
from fedpsma.lesions.geometry import FACES_AND_EDGES, Box
from fedpsma.phantom.patient import PhantomOptions, draw_patient

REAL = Path(__file__).resolve().parents[2] / "shared/data/sts_001_raw"
VOXELS = 15_000_000
BAR_S = 10.0
OPTIONS = FocusOptions()
FRACTION = 0.45
FWHM_PER_SIGMA = 2.3548
LESIONS = 300
_LEGEND = """mm: width of the smoothing; warm: voxels above the floor; ratio: processor seconds, plain by ours
Where all values differ, ours and plain are the same voxel for voxel. Where values are equal (a PET of few grey levels,
or smoothed to below the floor) the foot of a basin is anyone's: plain gives it to the first to flood it, ours goes by
the order of the volume.
"""


@dataclass(frozen=True)
class Found:
    """Candidates by their hottest voxel: basin and outline are places (flat indices) in the volume."""

    basins: dict[tuple[int, ...], np.ndarray]
    outlines: dict[tuple[int, ...], np.ndarray]


@dataclass(frozen=True)
class Timed:
    """What a call gave, with wall and processor seconds."""

    result: Any
    wall_s: float
    cpu_s: float


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smallest scan alone")
    quick = parser.parse_args().quick
    console = Console()
    _whole_scans(quick, console)
    _many_lesions(quick, console)


def _whole_scans(quick: bool, console: Console) -> None:
    table = _table(
        f"classical candidates, 45 % of the maximum, one thread; bar {BAR_S:g} s at {VOXELS / 1e6:g} M voxels",
        ("scan", "mm", "voxels", "warm", "found", "ours s", "cpu s", "plain s", "cpu s", "ratio"),
    )
    lines = []
    for name, study in _scans(quick):
        for smoothing_mm in (OPTIONS.smoothing_mm, 0.0):
            options = FocusOptions(smoothing_mm=smoothing_mm)
            ours = _timed(partial(classical_candidates, study, "pct45", options))
            plain = _timed(partial(_plain, study, options))
            table.add_row(
                *(name, f"{smoothing_mm:g}", f"{study.pet.size / 1e6:.1f} M"),
                *(f"{np.mean(study.pet >= options.floor_suv):.0%}", f"{len(ours.result)}"),
                *(f"{ours.wall_s:.2f}", f"{ours.cpu_s:.2f}", f"{plain.wall_s:.2f}", f"{plain.cpu_s:.2f}"),
                f"{plain.cpu_s / ours.cpu_s:.1f}",
            )
            lines.append(f"{name}, {smoothing_mm:g} mm: {_alike(_places(ours.result, study), plain.result)}")
    console.print(table)
    console.print(_LEGEND + "\n".join(lines), soft_wrap=True)


def _scans(quick: bool) -> Iterator[tuple[str, Study]]:
    if quick:
        yield "synthetic, 4 mm", draw_patient("C", 0, 1, PhantomOptions(spacing_mm=4.0)).study
        return
    yield "synthetic", _fifteen_million(draw_patient("C", 0, 1, PhantomOptions(spacing_mm=2.0)).study)
    archives = sorted(REAL.glob("*.tar.xz"))
    if not archives:
        return
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archives[0]) as archive:
        archive.extractall(folder, [one for one in archive if "/image/" in one.name], filter="data")
        real = load_study(Path(folder), key=bytes(32))
    yield "real FDG, own grid", real
    yield "real FDG, resampled", _fifteen_million(real)


def _fifteen_million(study: Study) -> Study:
    factor = (VOXELS * 1.001 / study.pet.size) ** (1 / 3)
    pet = ndimage.zoom(study.pet, factor, order=1)
    return Study(study.study_id, study.patient_id, pet, study.affine @ np.diag([1 / factor] * 3 + [1.0]))


def _plain(study: Study, options: FocusOptions) -> Found:
    sigma = [options.smoothing_mm / FWHM_PER_SIGMA / step for step in study.spacing_mm]
    smooth = ndimage.gaussian_filter(study.pet, sigma)
    mask = study.pet >= options.floor_suv
    ground = np.log(options.floor_suv) - 1.0
    height = np.where(mask, np.log(np.maximum(smooth, options.floor_suv)), ground).astype(np.float32)
    lowered = np.where(mask, height + np.log1p(-options.saddle_drop), ground).astype(np.float32)
    domes = reconstruction(lowered, height)
    tops, _ = ndimage.label(local_maxima(domes) & mask, structure=np.ones((3, 3, 3)))
    basins = watershed(-height, tops, mask=mask, connectivity=3)
    found = Found({}, {})
    for number, box in enumerate(ndimage.find_objects(basins), start=1):
        basin, suv = basins[box] == number, study.pet[box]
        peak = np.unravel_index(np.argmax(np.where(basin, suv, -np.inf)), suv.shape)
        if suv[peak] < options.min_suvmax:
            continue
        pieces, _ = ndimage.label(basin & (suv >= FRACTION * suv[peak]), structure=FACES_AND_EDGES)
        key = tuple(int(at + side.start) for at, side in zip(peak, box, strict=True))
        found.basins[key] = _flat(basin, box, study)
        found.outlines[key] = _flat(pieces == pieces[peak], box, study)
    return found


def _places(candidates: Any, study: Study) -> Found:
    return Found(
        {one.focus.peak: _flat(one.focus.basin, one.focus.box, study) for one in candidates},
        {one.focus.peak: _flat(one.outline, one.focus.box, study) for one in candidates},
    )


def _flat(mask: np.ndarray, box: Box, study: Study) -> np.ndarray:
    places = np.argwhere(mask) + [side.start for side in box]
    return np.ravel_multi_index(tuple(places.T), study.pet.shape)


def _alike(ours: Found, plain: Found) -> str:
    both = sorted(ours.basins.keys() & plain.basins.keys())
    text = f"{len(ours.basins)} and {len(plain.basins)} candidates, {len(both)} with the same peak"
    for name in ("basins", "outlines"):
        one, other = getattr(ours, name), getattr(plain, name)
        shared = [len(np.intersect1d(one[key], other[key], assume_unique=True)) for key in both]
        ious = [n / (len(one[key]) + len(other[key]) - n) for n, key in zip(shared, both, strict=True)]
        text += f"; IoU of {name}: mean {statistics.mean(ious):.4f}, least {min(ious):.3f}, equal {ious.count(1.0)}"
    return text


def _many_lesions(quick: bool, console: Console) -> None:
    table = _table(
        f"{LESIONS} lesions in one synthetic patient, the network's path, one thread",
        ("voxels", "suspected voxels", "foci", "find_foci s", "cpu s", "find_candidates s", "cpu s"),
    )
    for spacing_mm in (4.0,) if quick else (4.0, 2.0):
        study = draw_patient("C", 0, 1, PhantomOptions(spacing_mm=spacing_mm)).study
        study, prediction = _with_lesions(study if spacing_mm == 4.0 else _fifteen_million(study))
        foci = _timed(partial(find_foci, study, prediction))
        whole = _timed(partial(find_candidates, study, prediction))
        table.add_row(
            *(f"{study.pet.size / 1e6:.1f} M", f"{np.count_nonzero(prediction.suspicious >= 0.2)}"),
            *(f"{len(foci.result)}", f"{foci.wall_s:.2f}", f"{foci.cpu_s:.2f}"),
            *(f"{whole.wall_s:.2f}", f"{whole.cpu_s:.2f}"),
        )
    console.print(table)


def _with_lesions(study: Study) -> tuple[Study, VoxelPrediction]:
    """Put Gaussian lesions of SUV 5 to 40 and 8 to 20 mm width into warm tissue, suspected where they are hot."""
    rng = np.random.default_rng(0)
    warm = np.argwhere(study.pet >= 0.6)
    pet, suspicious = study.pet.copy(), np.zeros_like(study.pet)
    for centre in warm[rng.choice(len(warm), LESIONS, replace=False)]:
        suv, width_mm = rng.uniform(5, 40), rng.uniform(8, 20)
        reach = np.ceil(1.5 * width_mm / np.array(study.spacing_mm)).astype(int)
        sides = zip(centre, reach, study.pet.shape, strict=True)
        box = tuple(slice(max(at - more, 0), min(at + more + 1, size)) for at, more, size in sides)
        grid = np.ogrid[box]
        square = sum(((axis - at) * step) ** 2 for axis, at, step in zip(grid, centre, study.spacing_mm, strict=True))
        share = np.exp2(-4 * square / width_mm**2).astype(np.float32)
        pet[box] += suv * share
        np.maximum(suspicious[box], share, out=suspicious[box])
    anatomy = np.full(pet.shape, anatomy_number("soft_tissue"), dtype=np.uint8)
    made = Study(study.study_id, study.patient_id, pet, study.affine)
    return made, VoxelPrediction(suspicious, 1 - suspicious, anatomy)


def _timed(work: Callable[[], Any]) -> Timed:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return Timed(result, time.perf_counter() - wall, time.process_time() - cpu)


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, min_width=len(title))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


if __name__ == "__main__":
    main()
