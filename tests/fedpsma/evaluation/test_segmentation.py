from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpsma.evaluation.segmentation import dice, segmentation_scores, unmatched_voxels
from fedpsma.io.nifti import read_volume


@pytest.mark.shared
def test_published_baseline_on_a_real_expert_mask(shared):
    """The autoPET metrics of the nnU-Net baseline on a PSMA patient with 112 lesions."""
    folder = shared / "data/autopet3_psma_sample"
    stem = "psma_95b833d46f153cd2_2018-04-16"
    truth = read_volume(folder / f"{stem}_expert_lesions.nii.gz")
    predicted = read_volume(folder / f"{stem}_pred_nnunet_baseline.nii.gz")
    voxel_ml = abs(np.linalg.det(truth.affine[:3, :3])) / 1000
    scores = segmentation_scores(truth.data > 0, predicted.data > 0, voxel_ml)
    assert scores.dice == pytest.approx(0.696734, abs=1e-6)
    assert scores.false_positive_ml == pytest.approx(2.7536, abs=1e-4)
    assert scores.false_negative_ml == pytest.approx(25.0146, abs=1e-4)


def test_components_hang_together_over_edges_but_not_over_corners():
    over_edge = np.zeros((3, 3, 3), dtype=bool)
    over_edge[0, 0, 0] = over_edge[1, 1, 0] = True
    other = np.zeros_like(over_edge)
    other[0, 0, 0] = True
    assert unmatched_voxels(over_edge, other) == 0
    over_corner = np.zeros((3, 3, 3), dtype=bool)
    over_corner[0, 0, 0] = over_corner[1, 1, 1] = True
    assert unmatched_voxels(over_corner, other) == 1


def test_an_empty_truth_has_no_dice_and_every_prediction_is_false():
    predicted = np.zeros((4, 4, 4), dtype=bool)
    predicted[:2] = True
    scores = segmentation_scores(np.zeros_like(predicted), predicted, 0.5)
    assert math.isnan(scores.dice)
    assert math.isnan(scores.false_negative_ml)
    assert scores.false_positive_ml == 16.0


def test_grids_have_to_agree():
    with pytest.raises(ValueError, match="shape"):
        segmentation_scores(np.ones((2, 2, 2), dtype=bool), np.ones((3, 2, 2), dtype=bool), 1.0)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), density=st.sampled_from([0.05, 0.2, 0.5]))
def test_volumes_are_those_of_a_plain_loop_over_components(seed, density):
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    mask, other = (rng.random((6, 7, 8)) < density for _ in range(2))
    labels, count = ndimage.label(mask, structure=ndimage.generate_binary_structure(3, 2))
    expected = sum(int((labels == k).sum()) for k in range(1, count + 1) if not other[labels == k].any())
    assert unmatched_voxels(mask, other) == expected
    assert 0.0 <= dice(mask | True, other) <= 1.0
    assert dice(mask, mask) == 1.0 or not mask.any()
