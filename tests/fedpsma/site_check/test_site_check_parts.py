"""The parts of the check by themselves: fingerprints, masks, outlines, histograms, limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fedpsma.contract import TrainingPlan
from fedpsma.domain.tracer import Tracer
from fedpsma.site_check.coarse import coarse_grid
from fedpsma.site_check.duplicates import digest, fingerprint, similar_pairs
from fedpsma.site_check.histogram import histogram
from fedpsma.site_check.limits import limits
from fedpsma.site_check.masks import mask_facts

GRID = coarse_grid((5.0, 5.0, 5.0))


def _body(seed: int, length: int = 160) -> np.ndarray:
    """A made-up body: smooth random uptake in a column."""
    rng = np.random.default_rng(seed)
    uptake = np.exp(ndimage.gaussian_filter(rng.normal(0, 8, (60, 40, length)), 3))
    x, y = np.ogrid[-30:30, -20:20]
    return (uptake * (((x / 25) ** 2 + (y / 15) ** 2) < 1)[:, :, None]).astype(np.float32)


def test_a_cut_and_rescaled_copy_correlates_and_another_body_does_not() -> None:
    bodies = [_body(seed) for seed in range(6)]
    prints = [fingerprint(body, GRID) for body in bodies]
    prints.append(fingerprint(0.3 * bodies[2][2:, :, 25:-20], GRID))
    (pair,) = similar_pairs(prints, limits().rules.similar_from.value)
    assert (pair.first, pair.second) == (2, 6)


def test_a_short_scan_takes_part_in_no_pair() -> None:
    short = fingerprint(_body(1, length=40), GRID)
    assert similar_pairs([short, short], 0.0) == []
    assert similar_pairs([], 0.0) == []
    assert fingerprint(np.zeros((5, 5, 5), np.float32), GRID).shape == (0, 4)


def test_a_digest_sees_one_voxel() -> None:
    body = _body(1)
    other = body.copy()
    other[30, 20, 80] += 1e-3
    assert digest(body) == digest(np.asfortranarray(body))
    assert digest(body) != digest(other)


def _ball(shape: tuple[int, int, int], centre: tuple[int, int, int], radius: float) -> np.ndarray:
    axes = np.ogrid[tuple(slice(0, size) for size in shape)]
    return sum((axis - at) ** 2 for axis, at in zip(axes, centre, strict=True)) <= radius**2


def test_the_edge_of_an_outline_is_its_threshold() -> None:
    shape = (60, 50, 50)
    axes = np.ogrid[tuple(slice(0, size) for size in shape)]
    apart = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(axes, (20, 25, 25), strict=True)))
    pet = (0.5 + 15 * np.exp(-((apart / 8) ** 2))).astype(np.float32)
    facts = mask_facts(pet, (pet >= 4.0).astype(np.int32), (2.0, 2.0, 2.0), 1.0)
    (lesion,) = facts.lesions
    assert lesion.edge_suv == pytest.approx(4.0, rel=0.05)
    assert lesion.volume_ml == pytest.approx((pet >= 4.0).sum() * 0.008)
    assert facts.low_share == 0.0
    assert facts.mirrored_gain is not None
    assert facts.mirrored_gain < 0.5
    wrong = mask_facts(pet, (pet >= 4.0).astype(np.int32)[::-1].copy(), (2.0, 2.0, 2.0), 1.0)
    assert wrong.seems_mirrored(1.3, 1.5)
    assert wrong.low_share is not None
    assert wrong.low_share > 0.8


def test_a_lesion_that_fits_on_neither_side_is_not_called_mirrored() -> None:
    pet = np.ones((60, 50, 50), np.float32)
    pet[_ball(pet.shape, (15, 25, 25), 5)] = 0.2
    labels = _ball(pet.shape, (15, 25, 25), 5).astype(np.int32)
    facts = mask_facts(pet, labels, (2.0, 2.0, 2.0), 1.0)
    assert facts.mirrored_gain is not None
    assert facts.mirrored_gain > 1.3
    assert not facts.seems_mirrored(1.3, 1.5)


def test_an_empty_mask_has_no_figures() -> None:
    facts = mask_facts(np.ones((4, 4, 4), np.float32), np.zeros((4, 4, 4), np.int32), (4.0, 4.0, 4.0), 1.0)
    assert (facts.lesions, facts.low_share, facts.mirrored_gain, facts.volume_ml) == ((), None, None, 0)


def test_every_tracer_has_limits_and_the_least_cohort_is_what_a_plan_draws() -> None:
    for tracer in Tracer:
        row = limits().of_tracer(tracer)
        assert row.liver[0] < row.liver[1]
        assert row.source
    assert limits().rules.least_patients.value == TrainingPlan().patients_per_step


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [1.0, 1000.0], [0.013, 0.014], list(range(200))])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_histogram_draws_every_value_inside_its_frame(values: list[float], logarithmic: bool) -> None:
    svg = histogram(values, 'a "title"', logarithmic=logarithmic)
    assert '"title"' not in svg
    if logarithmic and not any(values):
        assert "no value" in svg
        return
    import re

    counted = sum(int(count) for count in re.findall(r"<title>(\d+)</title>", svg))
    assert counted == sum(value > 0 or not logarithmic for value in values)
    assert all(0 <= float(x) <= 320 for x in re.findall(r'<(?:rect|text) x="([-\d.]+)"', svg))
