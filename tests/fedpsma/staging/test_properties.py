"""Properties that hold for every exam."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from staging_exams import PSMA_1007, exam, lesion

from fedpsma.domain.assessment import Assessment
from fedpsma.domain.region import Region
from fedpsma.staging import StagingOptions, assess
from fedpsma.staging.expression import References, score_suv

TEXTS = st.sampled_from([None, "sclerotic", "no CT correlate", "degenerative", "Paget", "enlarged", "hypodense lesion"])
SUV = st.one_of(st.none(), st.floats(0.1, 60.0).map(lambda value: round(value, 1)))
MIRROR = {"L": "R", "R": "L"}


@st.composite
def lesions(draw, most=6):
    rows = []
    for number in range(draw(st.integers(0, most))):
        region = draw(st.sampled_from(list(Region)))
        side = draw(st.sampled_from([None, *region.facts.sides]))
        row = lesion(f"L{number}", region.value, side, draw(SUV), ct_correlate=draw(TEXTS))
        row["size_mm"] = draw(st.sampled_from([None, 5, 9, 12, 40]))
        rows.append(row)
    return rows


TRACERS = st.sampled_from(["68Ga-PSMA-11", "18F-PSMA-1007"])
STATUS = st.sampled_from([None, "in_situ", "removed", "irradiated"])


def record(rows, tracer="68Ga-PSMA-11", status="in_situ"):
    return exam(*rows, tracer=tracer, clinical={"prostate_status": status})


@settings(max_examples=60)
@given(lesions(), TRACERS, STATUS, st.randoms(use_true_random=False))
def test_the_order_of_the_lesions_does_not_matter(rows, tracer, status, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    one, other = assess(record(rows, tracer, status)), assess(record(shuffled, tracer, status))
    assert one.mitnm == other.mitnm
    assert one.mitnm_string == other.mitnm_string
    assert one.psma_rads == other.psma_rads
    assert one.psma_rads_overall == other.psma_rads_overall
    assert one.expression_lowest == other.expression_lowest


@settings(max_examples=60)
@given(lesions(), TRACERS)
def test_mirroring_the_patient_mirrors_the_string(rows, tracer):
    mirrored = [row | {"side": MIRROR.get(row["side"], row["side"])} for row in rows]
    one, other = assess(record(rows, tracer)), assess(record(mirrored, tracer))
    assert one.mitnm == other.mitnm
    assert parts(swapped(one.mitnm_string)) == parts(other.mitnm_string)
    assert one.psma_rads == other.psma_rads


def parts(text):
    return sorted(re.split(r"[ ,()]+", text))


def swapped(text):
    """Swap the side letters of the pelvic regions ("EIL")."""
    for code in ("II", "EI", "OB", "OP"):
        text = text.replace(f"{code}L", f"{code}?").replace(f"{code}R", f"{code}L").replace(f"{code}?", f"{code}R")
    return text


RANKS = {
    "T": ("T0", "T2u", "T2m", "T3a", "T3b", "T4"),
    "N": ("N0", "N1", "N2"),
    "M1b": ((), ("uni",), ("oligo",), ("diss",), ("dmi",)),
}
PROVEN = st.sampled_from([region for region in Region if region.facts.mitnm_axis])


@settings(max_examples=80)
@given(lesions(), TRACERS, PROVEN, st.data())
def test_a_further_counted_lesion_never_lowers_the_stage(rows, tracer, region, data):
    side = data.draw(st.sampled_from([None, *region.facts.sides]))
    more = lesion("MORE", region.value, side, biopsy="metastasis of prostate carcinoma")
    before, after = (assess(record(one, tracer, "in_situ")).mitnm for one in (rows, [*rows, more]))
    if "Tr" not in (before.T, after.T):
        assert RANKS["T"].index(after.T) >= RANKS["T"].index(before.T)
    assert after.T != "T0" or before.T == "T0"
    assert RANKS["N"].index(after.N) >= RANKS["N"].index(before.N)
    assert RANKS["M1b"].index(tuple(after.M1b_pattern)) >= RANKS["M1b"].index(tuple(before.M1b_pattern))
    assert set(after.N_regions) >= set(before.N_regions)
    assert set(after.M1a_regions) >= set(before.M1a_regions)
    assert set(after.M1c_organs) >= set(before.M1c_organs)
    assert {*after.M} - {"M0"} >= {*before.M} - {"M0"}


@settings(max_examples=60)
@given(lesions(), TRACERS, STATUS)
def test_other_names_for_the_lesions_change_only_the_names(rows, tracer, status):
    names = {row["lesion_id"]: f"focus {9 - at}" for at, row in enumerate(rows)}
    renamed = [row | {"lesion_id": names[row["lesion_id"]]} for row in rows]
    one, other = assess(record(rows, tracer, status)), assess(record(renamed, tracer, status))
    assert one.mitnm_string == other.mitnm_string
    for field in ("psma_rads", "expression", "expression_bounds", "e_psma"):
        assert {names[key]: value for key, value in getattr(one, field).items()} == getattr(other, field)
    assert [names[found.lesion] for found in one.indeterminate] == [found.lesion for found in other.indeterminate]
    assert [found.elements for found in one.indeterminate] == [found.elements for found in other.indeterminate]


TOLD = {"trace", "flags", "mitnm_string", "mitnm_app_string", "mitnm_possible", "policy_effects", "indeterminate"}


@settings(max_examples=60)
@given(lesions(), TRACERS)
def test_swapping_every_side_swaps_exactly_the_sides(rows, tracer):
    mirrored = [row | {"side": MIRROR.get(row["side"], row["side"])} for row in rows]
    one = assess(record(rows, tracer)).model_dump(exclude=TOLD)
    other = assess(record(mirrored, tracer)).model_dump(exclude=TOLD)
    assert one == other


@settings(max_examples=60)
@given(lesions(), TRACERS, st.sampled_from([Region.GANGLION, Region.PHYSIOLOGIC, Region.BONE_PELVIS, Region.LIVER]))
def test_a_benign_lesion_never_changes_the_stage(rows, tracer, region):
    benign = lesion("BENIGN", region.value, "L", ct_class="benign")
    before, after = assess(record(rows, tracer)), assess(record([*rows, benign], tracer))
    assert after.mitnm == before.mitnm
    assert after.mitnm_string == before.mitnm_string
    assert after.expression_highest == before.expression_highest


@given(
    st.floats(0.01, 80.0),
    st.floats(0.0, 40.0),
    st.tuples(*[st.one_of(st.none(), st.floats(0.5, 30.0)) for _ in range(3)]),
    st.sampled_from(["v1", "v2"]),
)
def test_expression_grows_with_suvmax(suv, more, references, promise):
    known = sorted(value for value in references if value is not None)
    ordered = [known.pop(0) if value is not None else None for value in references]
    refs = References(*ordered, "liver")
    low, high = score_suv(suv, refs, promise), score_suv(suv + more, refs, promise)
    assert low.low <= high.low
    assert low.high <= high.high
    assert low.low <= low.high


@given(st.floats(0.01, 80.0))
def test_a_missing_reference_only_widens_the_score(suv):
    full = References(1.6, 4.5, 15.1, "liver")
    exact = score_suv(suv, full).value
    for name in ("blood_pool", "organ", "parotid"):
        score = score_suv(suv, replace(full, **{name: None}))
        assert score.low <= exact <= score.high


@settings(max_examples=40)
@given(lesions(), TRACERS, STATUS, st.booleans(), st.sampled_from(["v1", "v2"]))
def test_every_assessment_survives_its_own_json(rows, tracer, status, count_sides, promise):
    options = StagingOptions(promise=promise, count_sides=count_sides)
    assessment = assess(record(rows, tracer, status), options)
    assert Assessment.model_validate_json(assessment.model_dump_json()) == assessment
    indeterminate = {one.lesion for one in assessment.indeterminate}
    assert indeterminate == {
        name for name, category in assessment.psma_rads.items() if (category or "").startswith("3")
    }
    counted = next(entry.result for entry in assessment.trace if entry.rule == "counting")
    assert indeterminate.isdisjoint(counted)
    if not counted:
        assert assessment.mitnm_string == "miT0 N0 M0"


@settings(max_examples=40)
@given(lesions())
def test_an_exam_compared_with_itself_is_stable(rows):
    before = [
        {"lesion_id": f"P{number}", **{key: row[key] for key in ("region", "side", "suvmax")}}
        for number, row in enumerate(rows)
    ]
    now = exam(*rows, reference_suv=PSMA_1007, prior={"tracer": "68Ga-PSMA-11", "lesions": before})
    labels = assess(now).prior_change
    assert set(labels.values()) <= {"stable", "resolved", "match_uncertain", "persistent_not_comparable"}
