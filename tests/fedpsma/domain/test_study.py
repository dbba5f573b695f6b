"""The study in memory keeps its volumes on one grid."""

from __future__ import annotations

import numpy as np
import pytest

from fedpsma.domain.study import Study

PET = np.zeros((4, 5, 6), np.float32)


def test_spacing_and_voxel_volume_of_an_oblique_grid() -> None:
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([2.0, 3.0, 4.0])
    study = Study("s", "p", PET, affine)
    assert study.spacing_mm == pytest.approx((2, 3, 4))
    assert study.voxel_ml == pytest.approx(0.024)


@pytest.mark.parametrize("name", ["ct", "lesions", "anatomy"])
def test_volumes_of_another_shape_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} has shape \(4, 5, 7\), but the PET has \(4, 5, 6\)"):
        Study("s", "p", PET, np.eye(4), **{name: np.zeros((4, 5, 7))})


def test_time_axis_is_refused() -> None:
    with pytest.raises(ValueError, match="4 axes instead of 3"):
        Study("s", "p", np.zeros((4, 5, 6, 2), np.float32), np.eye(4))
