"""How many studies ``fedpsma site check`` reads a minute with two processes, at the grids of real scanners.

Synthetic patients: site A at its own grid, and the same patients stretched to grids of 15 and of 52 million voxels.
The bar is 20 studies a minute on two cores; where other programs use the cores too, the processor time tells what two
free ones would do. Run it with ``python benchmarks/site_check.py``; making the patients takes
longer than checking them.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from fedpsma.domain.study import Study
from fedpsma.io.dataset import DatasetInfo, StudyRow, read_dataset, write_dataset
from fedpsma.io.nifti import write_volume
from fedpsma.phantom.patient import draw_patient
from fedpsma.site_check.check import check_dataset

BAR, WORKERS = 20.0, 2
GRIDS: dict[str, tuple[tuple[int, int, int] | None, int]] = {
    "site A, its own grid": (None, 8),
    "250 x 250 x 240": ((250, 250, 240), 4),
    "400 x 400 x 326": ((400, 400, 326), 4),
}


def main() -> None:
    """Measure every grid and print the table."""
    table = Table(title="fedpsma site check, two processes, from the first file to the written page")
    for column in (
        "grid",
        "studies",
        "million voxels",
        "wall s",
        "processor s",
        "studies / min",
        "on free cores",
        "bar 20",
    ):
        table.add_column(column, justify="left" if column == "grid" else "right")
    for name, (shape, count) in GRIDS.items():
        with tempfile.TemporaryDirectory() as folder:
            voxels = _make(Path(folder), shape, count)
            wall, cpu = _measure(Path(folder))
        rate, free = 60.0 * count / wall, 60.0 * count / (cpu / WORKERS)
        cells = (
            f"{voxels / 1e6:.1f}",
            f"{wall:.1f}",
            f"{cpu:.1f}",
            f"{rate:.0f}",
            f"{free:.0f}",
            "hit" if rate >= BAR else "MISSED",
        )
        table.add_row(name, str(count), *cells)
    Console().print(table)


def _measure(folder: Path) -> tuple[float, float]:
    before, started = _cpu_s(), time.monotonic()
    check_dataset(read_dataset(folder), folder / "check", workers=WORKERS)
    return time.monotonic() - started, _cpu_s() - before


def _cpu_s() -> float:
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in parts)


def _make(folder: Path, shape: tuple[int, int, int] | None, count: int) -> int:
    """Write a data set of ``count`` patients with CT and mask; returns the voxels of the largest PET."""
    rows, voxels = [], 0
    for index in range(count):
        study = draw_patient("A", index, 1).study
        row, size = _write(folder, study, shape)
        rows.append(row)
        voxels = max(voxels, size)
    write_dataset(folder, DatasetInfo(name="benchmark", site="A", contour="manual", synthetic=True), rows)
    return voxels


def _write(folder: Path, study: Study, shape: tuple[int, int, int] | None) -> tuple[StudyRow, int]:
    factor = np.ones(3) if shape is None else np.array(shape) / study.pet.shape
    affine = study.affine @ np.diag([*(1.0 / factor), 1.0])
    volumes = {
        "pet": ndimage.zoom(study.pet, factor, order=1),
        "ct": ndimage.zoom(study.ct, factor, order=1).astype(np.int16),
        "mask": ndimage.zoom(study.lesions, factor, order=0).astype(np.int16),
    }
    for kind, data in volumes.items():
        write_volume(folder / kind / f"{study.study_id}.nii.gz", data, affine)
    x, y, z = (float(edge) for edge in np.linalg.norm(affine[:3, :3], axis=0))
    paths = {kind: f"{kind}/{study.study_id}.nii.gz" for kind in volumes}
    row = StudyRow(id=study.study_id, patient=study.patient_id, tracer=study.tracer, spacing=(x, y, z), **paths)
    return row, volumes["pet"].size


if __name__ == "__main__":
    # One thread a process, as a site with two cores has it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
