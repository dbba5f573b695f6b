"""What several tests of the simulation need."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedpsma.domain.tracer import Tracer
from fedpsma.io.dataset import DatasetInfo, StudyRow, write_dataset


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Thirty patients with one or two studies, two tracers, no volumes."""
    tracers = list(Tracer)[:2]
    rows = [
        StudyRow(id=f"s{number}-{visit}", patient=f"p{number}", pet=f"{number}.nii.gz", spacing=(4, 4, 4), tracer=which)
        for number in range(30)
        for visit in range(1 + number % 2)
        for which in (tracers[number % 3 == 0],)
    ]
    write_dataset(tmp_path / "pool", DatasetInfo(name="pool", site="P", contour="suv4", synthetic=True), rows)
    return tmp_path / "pool"
