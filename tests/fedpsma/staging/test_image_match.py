"""Lesions matched on images go before a match by place; parts and partners are compared together."""

from __future__ import annotations

from staging_exams import exam, lesion, prior, was

from fedpsma.staging import assess
from fedpsma.staging.prior import ImageMatch


def group(before, now):
    return frozenset(now.split()), frozenset(before.split())


def test_parts_of_a_split_are_compared_as_one():
    rows = [
        lesion("L1", "BONE_PELVIS", "R", 19.0, volume_ml=4.0),
        lesion("L2", "BONE_PELVIS", "R", 6.0, volume_ml=5.0),
        lesion("L3", "BONE_PELVIS", "R", 9.0),
    ]
    before = prior(was("P1", "BONE_PELVIS", "R", 20.0, volume_ml=10.0), was("P2", "BONE_PELVIS", "R"))
    found = assess(exam(*rows, prior=before), match=ImageMatch((group("P1", "L1 L2"),)))
    assert found.prior_change == {"L1": "stable", "L2": "stable", "L3": "new", "P2": "resolved"}
    assert not any("mixed" in flag.message for flag in found.flags)


def test_partners_of_a_merge_are_compared_as_one():
    before = prior(was("P1", "BONE_PELVIS", "R", 10.0, volume_ml=2.0), was("P2", "BONE_PELVIS", "R", 20.0, volume_ml=3))
    row = lesion("L1", "BONE_PELVIS", "R", 30.0, volume_ml=5.0)
    found = assess(exam(row, prior=before), match=ImageMatch((group("P1 P2", "L1"),)))
    assert found.prior_change == {"L1": "increased"}
    assert any(flag.message == "mixed: increased by SUVmax, stable by volume" for flag in found.flags)


def test_outside_the_other_field_of_view_nothing_is_new_or_resolved():
    before = prior(was("P1", "BONE_FEMUR", "R"), psma_vol_ml=10.0)
    record = exam(lesion("L1", "BONE_SKULL", "M"), prior=before, psma_vol_ml=20.0)
    found = assess(record, match=ImageMatch((), frozenset({"L1"}), frozenset({"P1"})))
    assert found.prior_change == {"L1": "not_applicable", "P1": "not_applicable"}
    assert found.recip is None
