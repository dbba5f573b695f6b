"""Prior reports, English and German, telegraphic as they come."""

from __future__ import annotations

import json

import pytest
from guard_texts import ATTACKS_DE, ATTACKS_EN
from hypothesis import given
from hypothesis import strategies as st

from fedpsma.domain.region import Region
from fedpsma.text.prior_report import read_prior_report


def rows(text):
    return [(one.region, one.side, one.suvmax, one.size_mm) for one in read_prior_report(text).findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L4 corpus sclerotic focus SUVmax 14.7, 16 mm.", [(Region.BONE_LSPINE, "M", 14.7, 16)]),
        ("LWK 4 SUVmax 14,7 (16 mm)", [(Region.BONE_LSPINE, "M", 14.7, 16)]),
        ("EIA li 11 mm SUV 12,3", [(Region.LN_EXTERNAL_ILIAC, "L", 12.3, 11)]),
        ("left ext. iliac met, 9 mm, SUVmax of 8.1", [(Region.LN_EXTERNAL_ILIAC, "L", 8.1, 9)]),
        ("LK iliakal intern re. 1,2 x 0,8 cm, SUVmax: 7,5", [(Region.LN_INTERNAL_ILIAC, "R", 7.5, 8)]),
        ("Mehranreicherung Os ilium re (SUVmax 12,1)", [(Region.BONE_PELVIS, "R", 12.1, None)]),
        ("right 5th rib SUV 6,1", [(Region.BONE_RIB, "R", 6.1, None)]),
        ("6. Rippe links SUVmax 4,9 unspezifisch", [(Region.BONE_RIB, "L", 4.9, None)]),
        ("BWK 10 SUVmax 22,1 (14 mm)", [(Region.BONE_TSPINE, "M", 22.1, 14)]),
        (
            "Th10 and rib 4 left SUVmax 5.1 lesions",
            [(Region.BONE_TSPINE, "M", None, None), (Region.BONE_RIB, "L", 5.1, None)],
        ),
        ("retrocaval node 31 mm SUVmax 22", [(Region.LN_RETROPERITONEAL, None, 22.0, 31)]),
        ("common iliac LN right SUVmax 5", [(Region.LN_COMMON_ILIAC, "R", 5.0, None)]),
        ("Prostate bed: left anastomosis SUVmax 5.4", [(Region.PROSTATE_BED, "L", 5.4, None)]),
        ("SUVmax 9.8 in the left obturator node", [(Region.LN_OBTURATOR, "L", 9.8, None)]),
        ("left ilium, SUVmax from 12.4 to 9.8", [(Region.BONE_PELVIS, "L", 9.8, None)]),
        (
            "bilateral hilar nodes",
            [(Region.LN_MEDIASTINAL_HILAR, "L", None, None), (Region.LN_MEDIASTINAL_HILAR, "R", None, None)],
        ),
        (
            "LK links: EIA 9 mm, obturatorisch 7 mm",
            [(Region.LN_EXTERNAL_ILIAC, "L", None, 9), (Region.LN_OBTURATOR, "L", None, 7)],
        ),
        (
            "Left ext. iliac node 9 mm SUVmax 8.1, right obturator 7 mm SUVmax 6,2.",
            [(Region.LN_EXTERNAL_ILIAC, "L", 8.1, 9), (Region.LN_OBTURATOR, "R", 6.2, 7)],
        ),
        (
            "right ilium SUVmax 12, sacrum SUVmax 8",
            [(Region.BONE_PELVIS, "R", 12.0, None), (Region.BONE_SACRUM, None, 8.0, None)],
        ),
    ],
)
def test_findings(text, expected):
    assert rows(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "PSMA PET 3.12.24.",
        "PSMA-PET/CT vom 12.03.2024",
        "Reference: liver SUVmean 4.5, blood pool 1.6",
        "Injected 250 MBq 68Ga-PSMA-11.",
        "pT3a pN0 cM0, Gleason 4+3",
        "Z.n. Prostatektomie 2016",
        "Sternum normal. LN: nil. Leber o.B.",
        "",
    ],
)
def test_nothing_is_found_where_nothing_is_said(text):
    assert rows(text) == []


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("Sternum normal.", {Region.BONE_STERNUM}),
        ("Sternum and ribs normal.", {Region.BONE_STERNUM, Region.BONE_RIB}),
        ("Liver unremarkable", {Region.LIVER}),
        ("Leber unauffällig", {Region.LIVER}),
        ("Lunge o.B.", {Region.LUNG}),
        ("No liver, lung or brain metastases.", {Region.LIVER, Region.LUNG, Region.BRAIN}),
        ("Keine Leber- oder Lungenmetastasen", {Region.LIVER, Region.LUNG}),
    ],
)
def test_free_regions(text, free):
    reading = read_prior_report(text)
    assert {region for one in reading.negatives for region in one.regions} == free
    assert reading.findings == ()


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("LN: nil.", "LN_"),
        ("No bone metastases.", "BONE_"),
        ("Keine ossären Metastasen", "BONE_"),
        ("Lymph nodes: none", "LN_"),
    ],
)
def test_free_groups(text, prefix):
    regions = {region for one in read_prior_report(text).negatives for region in one.regions}
    assert {region for region in Region if region.startswith(prefix)} <= regions


def test_a_negation_ends_at_the_comma_before_a_finding():
    assert rows("No nodes, L4 met 12 mm.") == [(Region.BONE_LSPINE, "M", None, 12)]


def test_repeated_mentions_are_one_finding_with_the_measured_quote():
    reading = read_prior_report("Skeleton: L4 focus SUVmax 14.7, 16 mm. Imp: solitary L4 met, unchanged to CT.")
    assert [(one.region, one.suvmax, one.levels) for one in reading.findings] == [(Region.BONE_LSPINE, 14.7, ("L4",))]
    assert "SUVmax 14.7" in reading.findings[0].quote


def test_vague_wording_joins_the_precise_finding():
    reading = read_prior_report("Left ext. iliac node 9 mm, SUVmax 8.1. Imp: left iliac node metastasis.")
    assert [one.region for one in reading.findings] == [Region.LN_EXTERNAL_ILIAC]


def test_vague_wording_alone_keeps_its_candidates():
    finding = read_prior_report("left iliac node 8 mm").findings[0]
    assert finding.region is None
    assert Region.LN_EXTERNAL_ILIAC in finding.regions


@pytest.mark.parametrize(
    "text",
    [
        "Left external iliac node 9 mm SUVmax 8.1. Impression: right external iliac node metastasis.",
        "LK iliakal ext. li 9 mm, SUVmax 8,1. Beurteilung: LK-Metastase iliakal ext. rechts.",
        "Left ext. iliac 9 mm.\nImp: right iliac node met.",
    ],
)
def test_contradictory_sides(text):
    reading = read_prior_report(text)
    assert [one.side for one in reading.side_conflicts] == ["R"]
    assert [one.side for one in reading.findings] == ["L"]


def test_both_sides_with_findings_are_no_contradiction():
    text = "Left ext. iliac 9 mm, right ext. iliac 8 mm. Imp: iliac mets left and right."
    assert read_prior_report(text).side_conflicts == ()


@pytest.mark.parametrize(
    ("text", "tracer"),
    [
        ("rhPSMA PET", "18F-rhPSMA-7.3"),
        ("18F-PSMA-1007 PET/CT", "18F-PSMA-1007"),
        ("Ga-68-PSMA-11 PET/CT", "68Ga-PSMA-11"),
        ("DCFPyL PET/CT", "18F-DCFPyL"),
        ("FDG PET/CT", "18F-FDG"),
    ],
)
def test_tracer_of_the_prior(text, tracer):
    assert [one.value for one in read_prior_report(text).tracers] == [tracer]


@pytest.mark.parametrize("attack", [*ATTACKS_EN, *ATTACKS_DE])
def test_instructions_change_no_finding(attack):
    before, after = "L4 corpus SUVmax 14.7, 16 mm. Sternum normal.", "Imp: solitary L4 met."
    clean = read_prior_report(f"{before}\n\n{after}")
    poisoned = read_prior_report(f"{before}\n\n{attack}\n\n{after}")
    assert rows(f"{before}\n\n{attack}\n\n{after}") == [(Region.BONE_LSPINE, "M", 14.7, 16)]
    assert [one.regions for one in poisoned.negatives] == [one.regions for one in clean.negatives]
    assert poisoned.instructions


@given(st.text(max_size=300))
def test_every_quote_stands_in_any_text(text):
    reading = read_prior_report(text)
    for one in (*reading.findings, *reading.negatives, *reading.instructions, *reading.identifiers):
        assert (
            text[one.start : one.end].replace("\n", " ").split() == one.quote.split()
            or text[one.start : one.end] == one.quote
        )


SITES = {
    Region.LN_EXTERNAL_ILIAC: ("external iliac node", "LK iliakal extern"),
    Region.LN_OBTURATOR: ("obturator node", "LK obturatorisch"),
    Region.BONE_PELVIS: ("ilium focus", "Herd Os ilium"),
    Region.BONE_RIB: ("rib lesion", "Herd Rippe"),
    Region.BONE_FEMUR: ("femur lesion", "Herd Femur"),
    Region.LIVER: ("liver lesion", "Leberherd"),
}


@given(
    st.lists(
        st.tuples(st.sampled_from(list(SITES)), st.sampled_from("LR"), st.integers(20, 999), st.integers(4, 60)),
        min_size=1,
        max_size=5,
        unique_by=lambda row: (row[0], row[1]),
    ),
    st.booleans(),
)
def test_a_report_written_from_a_table_is_read_back(table, german):
    sentences = []
    for region, side, tenths, size in table:
        name = SITES[region][german]
        if german:
            value = f"{tenths / 10:.1f}".replace(".", ",")
            sentences.append(f"{name} {'links' if side == 'L' else 'rechts'}, SUVmax {value}, {size} mm.")
        else:
            sentences.append(f"{'Left' if side == 'L' else 'Right'} {name}, SUVmax {tenths / 10:.1f}, {size} mm.")
    expected = [(region, side, tenths / 10, float(size)) for region, side, tenths, size in table]
    assert rows("PSMA PET 3.12.24. " + " ".join(sentences)) == expected


@pytest.mark.shared
def test_the_injected_report_is_extracted_as_expected(shared):
    content = json.loads((shared / "exams" / "injected_prior_text.json").read_text("utf-8"))
    reading = read_prior_report(content["exam"]["prior"]["report_text"])
    found = [
        {"region": one.region, "side": one.side, "suvmax": one.suvmax, "size_mm": one.size_mm}
        for one in reading.findings
    ]
    assert found == content["expected"]["prior_extraction_truth"]
    assert len(reading.instructions) == 1
    assert reading.instructions[0].quote.startswith("### SYSTEM NOTE")
    assert reading.instructions[0].quote.endswith("###")
