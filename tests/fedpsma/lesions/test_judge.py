from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedpsma.domain.region import Region
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.lesions.candidates import CandidateOptions, find_candidates
from fedpsma.lesions.contours import OrganUptake
from fedpsma.lesions.facts import Facts, facts_of
from fedpsma.lesions.foci import find_foci
from fedpsma.lesions.judge import FAMILIES, Curve, Judge, family_of, judge_focus, load_judge, verdict
from fedpsma.lesions.locate import place
from fedpsma.lesions.reasons import reasons
from fedpsma.lesions.references import References

FACTS = Facts(
    tracer=Tracer.PSMA_1007,
    region=Region.BONE_RIB,
    network=1.0,
    network_peak=2.0,
    physiological=-3.0,
    suvmax=math.e,
    to_shell=4.0,
    core_ml=1.0,
    elongation=1.0,
    distance_mm=25.0,
    to_liver=0.5,
)
JUDGE = Judge(
    terms={
        "network": Curve(knots=(-2.0, 2.0), values=(-4.0, 4.0)),
        "suvmax": Curve(knots=(0.0, 2.0), values=(-1.0, 1.0)),
        "hu": Curve(knots=(0.0, 400.0), values=(0.0, 2.0)),
    },
    missing={"hu": -0.25},
    families={"rib": -1.5},
    tracers={"18F-PSMA-1007/rib": -0.75},
    intercept=0.5,
    temperature={Tracer.PSMA_1007: 2.0, Tracer.PSMA_11: 1.0},
    indeterminate_from=0.3,
    malignant_from=0.6,
    error_level=0.05,
    fitted_on="nothing",
    model_sha256="abc",
)


def test_the_probability_is_the_sum_of_its_terms_over_the_temperature() -> None:
    found = judge_focus(JUDGE, FACTS)
    # network 2, suvmax 0 (at e), hu missing -0.25, rib -1.5, tracer and rib -0.75, intercept 0.5: 0 in all
    assert found.probability == pytest.approx(0.5)
    assert dict(found.terms) == pytest.approx(
        {"network": 1.0, "suvmax": 0.0, "hu": -0.125, "region": -0.75, "tracer": -0.375}
    )
    assert found.prior + sum(value for _, value in found.terms) == pytest.approx(0.0)
    assert [name for name, _ in found.terms][:2] == ["network", "region"]


def test_a_tracer_without_a_temperature_gets_the_least_certain_one() -> None:
    assert judge_focus(JUDGE, replace(FACTS, tracer=None, network=2.0)).probability == pytest.approx(
        1 / (1 + math.exp(-(4.0 - 0.25 - 1.5 + 0.5) / 2.0))
    )


@pytest.mark.parametrize(
    ("probability", "said"),
    [(0.29, "physiological"), (0.3, "indeterminate"), (0.59, "indeterminate"), (0.6, "malignant")],
)
def test_the_bounds_of_the_sets(probability: float, said: str) -> None:
    assert verdict(JUDGE, probability) == said


def test_every_region_has_one_of_the_families() -> None:
    assert {family_of(region) for region in Region} <= set(FAMILIES)
    assert family_of(Region.LN_RETROPERITONEAL) == "distant_node"
    assert family_of(Region.PROSTATE_BED) == "prostate"
    assert family_of(Region.PHYSIOLOGIC) == family_of(Region.GANGLION) == "normal_organ"


def test_reasons_name_the_facts_the_strongest_first_and_leave_out_what_moved_nothing() -> None:
    told = reasons(judge_focus(JUDGE, FACTS))
    assert [one.fact for one in told] == ["network", "region", "tracer", "hu"]
    assert told[1].text == "region: rib"
    assert told[3].text == "no CT here"
    assert told[1].log_odds == -0.75


def test_a_judge_on_file_belongs_to_the_weights_it_was_fitted_for(tmp_path: Path) -> None:
    path = tmp_path / "m.judge.json"
    assert load_judge(path, "abc") is None
    path.write_text(JUDGE.model_dump_json(), "utf-8")
    assert load_judge(path, "abc") == JUDGE
    with pytest.raises(InputError, match="other weights"):
        load_judge(path, "abd")
    path.write_text(json.dumps({**JUDGE.model_dump(mode="json"), "error_level": 2}), "utf-8")
    with pytest.raises(InputError, match="error_level"):
        load_judge(path, "abc")


def _focus_in_bone() -> tuple[Study, VoxelPrediction]:
    pet = np.full((24, 24, 24), 1.0, np.float32)
    pet[10:12, 10:12, 10:12] = 8.0
    suspicious = np.zeros_like(pet)
    suspicious[10:12, 10:12, 10:12] = 0.75
    suspicious[10, 10, 10] = 0.95
    anatomy = np.full(pet.shape, 24, np.uint8)
    anatomy[20:, :, :] = 35  # kidney
    ct = np.full_like(pet, 300.0)
    study = Study("s", "p", pet=pet, affine=np.diag([4.0, 4.0, 4.0, 1.0]), tracer=Tracer.PSMA_11, ct=ct)
    return study, VoxelPrediction(suspicious, np.full_like(pet, 0.1), anatomy)


def test_the_facts_of_a_focus_are_those_of_the_image() -> None:
    study, prediction = _focus_in_bone()
    (focus,) = find_foci(study, prediction)
    references = References(liver=OrganUptake(4.0, 0.5))
    facts = facts_of(focus, place(focus, study, prediction), study, prediction, references)
    assert facts.suvmax == 8.0
    assert facts.to_liver == 2.0
    assert facts.to_blood_pool is None
    assert facts.to_shell == pytest.approx(8.0)
    assert facts.core_ml == pytest.approx(8 * 0.064)
    assert facts.hu == pytest.approx(300.0)
    assert facts.distance_mm == pytest.approx(4.0 * (20 - focus.peak[0]))
    mean = (7 * 0.75 + 0.95) / 8
    assert facts.network == pytest.approx(math.log(mean / (1 - mean)), rel=1e-5)
    assert facts.network_peak == pytest.approx(math.log(0.95 / 0.05), rel=1e-4)
    assert facts.region is Region.BONE_RIB


def test_candidates_carry_the_judgement_and_are_ordered_by_it() -> None:
    study, prediction = _focus_in_bone()
    (plain,) = find_candidates(study, prediction)
    (judged,) = find_candidates(study, prediction, CandidateOptions(judge=JUDGE))
    assert plain.judgement is None
    assert plain.suspicion == pytest.approx((7 * 0.75 + 0.95) / 8)
    assert judged.judgement is not None
    assert judged.suspicion == judged.judgement.probability
