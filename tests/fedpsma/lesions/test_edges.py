from __future__ import annotations

import numpy as np
import pytest
from sarcoma_sites import write_site_tables
from scipy import ndimage

from fedpsma.domain.contour import contour_rules
from fedpsma.io.importing.table import read_import_table
from fedpsma.lesions.candidates import CandidateOptions, find_candidates, segment
from fedpsma.lesions.edges import EdgeOptions, adaptive_outlines, join, tumour_outlines
from fedpsma.lesions.foci import Focus, find_maxima

WHOLE = (slice(0, 40), slice(0, 40), slice(0, 40))
MM = (3.0, 3.0, 3.0)


def grid(centre=(20, 20, 20)):
    return np.sqrt(
        sum((np.arange(40) - at).reshape([-1 if k == n else 1 for k in range(3)]) ** 2 for n, at in enumerate(centre))
    )


def one_focus(pet, centre=(20, 20, 20), basin=None):
    peak = tuple(int(at) for at in centre)
    return Focus(WHOLE, np.ones(pet.shape, bool) if basin is None else basin, peak, float(pet[peak]))


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize(("uptake", "background"), [(1.5, 0.5), (4.0, 0.5), (30.0, 0.5), (8.0, 3.0)])
def test_the_edge_of_a_blurred_ball_is_found_whatever_its_contrast(uptake, background):
    truth = grid() <= 7
    pet = ndimage.gaussian_filter(np.where(truth, uptake, background), 1.0).astype(np.float32)
    pet[20, 20, 20] += 0.01
    (mask,) = tumour_outlines([one_focus(pet)], pet, MM)
    assert dice(mask, truth) > 0.93


def test_the_outline_follows_the_scale_of_the_picture():
    """Twice the uptake everywhere is the same outline: nothing in it is an SUV, but the rim of the body."""
    rng = np.random.default_rng(3)
    pet = (np.where(grid() <= 6, 5.0, 0.6) * rng.lognormal(0, 0.1, (40, 40, 40))).astype(np.float32)
    pet[20, 20, 20] = 9.0
    once, twice = (tumour_outlines([one_focus(pet * k)], pet * k, MM)[0] for k in (1, 2))
    assert dice(once, twice) > 0.99


def test_a_necrotic_middle_belongs_to_the_tumour():
    shell = (grid() <= 9) & (grid() > 4)
    pet = np.where(shell, 6.0, 0.6).astype(np.float32)
    pet[20, 20, 27] = 6.5
    (mask,) = tumour_outlines([one_focus(pet, (20, 20, 27))], pet, MM)
    assert dice(mask, grid() <= 9) > 0.97
    assert mask[20, 20, 20]


def halves(low, saddle):
    """Two halves of one bar along x, of SUV 10 and ``low``, with a wall of SUV ``saddle`` between them."""
    pet = np.full((40, 40, 40), 0.5, dtype=np.float32)
    pet[8:20, 16:25, 16:25], pet[20:32, 16:25, 16:25] = 10.0, low
    pet[19:21, 16:25, 16:25] = saddle
    pet[12, 20, 20], pet[28, 20, 20] = 11.0, low * 1.1
    left = np.zeros(pet.shape, bool)
    left[:20] = True
    return pet, [one_focus(pet, (12, 20, 20), left), one_focus(pet, (28, 20, 20), ~left)]


@pytest.mark.parametrize(
    ("low", "saddle", "suspected", "tumours"),
    [
        (6.0, 4.0, (True, True), ((0, 1),)),
        (6.0, 4.0, (False, False), ((0, 1),)),
        (6.0, 4.0, (True, False), ((0,), (1,))),
        (6.0, 2.0, (True, True), ((0,), (1,))),
    ],
)
def test_foci_are_one_tumour_where_the_hot_core_of_the_lower_reaches_the_other(low, saddle, suspected, tumours):
    pet, foci = halves(low, saddle)
    assert join(foci, pet, suspected) == tumours
    assert join([], pet, []) == ()


def test_a_faint_part_is_outlined_with_the_tumour_it_hangs_on_and_shares_do_not_overlap():
    pet, foci = halves(6.0, 4.5)
    one, other = adaptive_outlines(foci, pet, MM, (True, True))
    assert not (one & other).any()
    assert dice(one | other, pet >= 4) > 0.95


def test_a_focus_below_the_edge_of_its_tumour_is_outlined_by_itself():
    pet, foci = halves(2.5, 2.2)
    together = tumour_outlines(foci, pet, MM)
    assert join(foci, pet, (True, True)) == ((0, 1),)
    assert not together[1][foci[1].peak_in_box]
    assert dice(adaptive_outlines(foci, pet, MM, (True, True))[1], (pet > 2) & foci[1].basin) > 0.9


def test_manual_is_the_adaptive_outline_and_part_of_the_chain(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 14, 3.0)], spacing_mm=(3, 3, 3))
    assert contour_rules()["manual"].value == EdgeOptions().contrast
    found = find_candidates(patient.study, patient.prediction, CandidateOptions(contour="manual"))
    assert segment(found, patient.study).sum() * 0.027 == pytest.approx(4 / 3 * np.pi * 1.4**3, rel=0.3)


@pytest.mark.shared
@pytest.mark.slow
def test_it_comes_nearer_to_experts_on_real_sarcomas_than_the_usual_thresholds(shared, tmp_path):
    """Of the tumours whose maxima are given; the other half of the patients was not used to choose the method."""
    scores = {"adaptive": [], "suv": [], "pct41": []}
    for table in write_site_tables(shared, tmp_path).values():
        for source in read_import_table(table).sources(tracer=None, suv_declared=True):
            study = source.read().study
            truth = study.lesions > 0
            foci = [focus for focus in find_maxima(study) if truth[focus.peak] and focus.suvmax >= 1.5]
            foci = [focus for focus in foci if focus.suvmax >= 0.25 * max(one.suvmax for one in foci)]
            outlines = {
                "adaptive": adaptive_outlines(foci, study.pet, study.spacing_mm, [True] * len(foci)),
                "suv": [focus.above(study.pet, 2.5) for focus in foci],
                "pct41": [focus.above(study.pet, 0.41 * focus.suvmax) for focus in foci],
            }
            for name, masks in outlines.items():
                whole = np.zeros(study.pet.shape, bool)
                for focus, mask in zip(foci, masks, strict=True):
                    whole[focus.box] |= mask
                scores[name].append(dice(whole, truth))
    median = {name: np.median(values) for name, values in scores.items()}
    assert len(scores["adaptive"]) == 26
    assert median["adaptive"] >= 0.75
    assert median["adaptive"] > max(median["suv"], median["pct41"]) + 0.03
