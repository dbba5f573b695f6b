from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_cases import ROWS, made_up_exam, reading_after

from demo.reading.edits import (
    AddLesion,
    AddSentence,
    DeleteLesion,
    Exclude,
    Include,
    SetCategory,
    SetRegion,
    SetSide,
    SplitLesion,
)
from demo.reading.history import Redo, Undo, advance
from demo.reading.result import result_of
from fedpsma.domain.exam import Lesion
from fedpsma.domain.region import Region
from fedpsma.errors import InputError

IDS = [row["lesion_id"] for row in ROWS]
EDITS = st.one_of(
    st.builds(Exclude, lesion=st.sampled_from(IDS), reason=st.sampled_from(["benign", "artefact"])),
    st.builds(Include, lesion=st.sampled_from(IDS)),
    st.builds(SetRegion, lesion=st.sampled_from(IDS), region=st.sampled_from(list(Region))),
    st.builds(SetCategory, lesion=st.sampled_from(IDS), category=st.sampled_from([None, "2", "3B", "5"])),
    st.builds(DeleteLesion, lesion=st.sampled_from(IDS)),
    st.builds(AddSentence, section=st.just("bone"), text=st.sampled_from(["Seen.", "Also seen."])),
)


@settings(max_examples=60)
@given(st.lists(EDITS, max_size=8))
def test_undoing_everything_leaves_the_exam_as_analysed_and_redoing_brings_it_back(edits: list[object]) -> None:
    reading = reading_after()
    for edit in edits:
        try:
            reading = advance(reading, edit)
        except InputError:
            continue
    done = reading
    for _ in done.past:
        reading = advance(reading, Undo())
    assert reading.state == reading_after().state
    for _ in done.past:
        reading = advance(reading, Redo())
    assert reading.state == done.state


def test_an_excluded_lesion_leaves_stage_and_totals_but_stays_in_the_table() -> None:
    reading = reading_after(Exclude(lesion="L3", reason="benign"))
    result = result_of(reading)
    assert result.assessment.mitnm is not None
    assert result.assessment.mitnm.M == ["M0"]
    assert result.totals.psma_tv_ml == pytest.approx(12.3 + 1.6)
    assert "L3" in reading.state.lesion_ids
    assert "[L3]" not in " ".join(one.text for one in result.sentences)
    again = result_of(advance(reading, Include(lesion="L3")))
    assert again.assessment.mitnm is not None
    assert again.assessment.mitnm.M == ["M1b"]


def test_a_corrected_side_reaches_stage_and_report_at_once_and_the_analysis_keeps_its_own() -> None:
    reading = reading_after(SetSide(lesion="L2", side="L"))
    result = result_of(reading)
    assert result.assessment.mitnm_string == "miT2u N1 (OBL) M1b (uni)"
    assert any(one.text.startswith("Left obturator node") for one in result.sentences)
    assert reading.analysed.lesion("L2").side == "R"
    assert result.totals.psma_tv_ml == 19.4


def test_the_readers_category_goes_before_the_rules() -> None:
    before = result_of(reading_after()).assessment
    after = result_of(reading_after(SetCategory(lesion="L3", category="3B"))).assessment
    assert (before.psma_rads["L3"], after.psma_rads["L3"]) == ("5", "3B")
    assert after.mitnm is not None
    assert after.mitnm.M == ["M0"]
    assert [one.lesion for one in after.indeterminate] == ["L3"]


def test_a_side_that_the_new_region_cannot_have_becomes_unknown_or_the_only_one() -> None:
    moved = reading_after(SetRegion(lesion="L3", region=Region.LIVER)).state.exam.lesion("L3")
    assert moved.side is None or moved.side in Region.LIVER.facts.sides
    spine = reading_after(SetRegion(lesion="L3", region=Region.BONE_LSPINE)).state.exam.lesion("L3")
    assert spine.side in (None, *Region.BONE_LSPINE.facts.sides)
    with pytest.raises(InputError):
        reading_after(SetSide(lesion="L2", side="B"))


def test_added_and_split_lesions_join_the_table_and_taken_ids_are_refused() -> None:
    new = Lesion(lesion_id="R1", region="LIVER", suvmax=9.0, volume_ml=2.0, ct_class="suspicious")
    added = reading_after(AddLesion(added=new, at=(1, 2, 3), contour="pct41"))
    staged = result_of(added).assessment.mitnm
    assert staged is not None
    assert staged.M == ["M1b", "M1c"]
    with pytest.raises(InputError):
        advance(added, AddLesion(added=new))
    parts = tuple(new.model_copy(update={"lesion_id": name}) for name in ("L3a", "L3b"))
    split = reading_after(SplitLesion(lesion="L3", parts=parts))
    assert split.state.lesion_ids == ("L1", "L2", "L3a", "L3b")
    with pytest.raises(InputError):
        reading_after(SplitLesion(lesion="L3", parts=(parts[0], parts[0])))


def test_what_is_not_in_the_table_cannot_be_edited() -> None:
    for edit in (Exclude(lesion="L9", reason="other"), SetSide(lesion="L9", side="L"), DeleteLesion(lesion="L9")):
        with pytest.raises(InputError, match="L9"):
            reading_after(edit)


def test_a_total_that_nobody_measured_is_not_made_up() -> None:
    exam = made_up_exam(psma_vol_ml=None)
    reading = reading_after(Exclude(lesion="L3", reason="benign"), exam=exam)
    assert result_of(reading).exam.psma_vol_ml is None
