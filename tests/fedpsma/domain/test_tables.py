"""The tables of the domain against the sources they were taken from."""

from __future__ import annotations

from math import log

import pytest
from pydicom.sr._concepts_dict import concepts

from fedpsma.domain.anatomy import anatomy_classes, anatomy_number
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer

# PROMISE V2 miTNM (Seifert 2023 Eur Urol 83:405): common iliac nodes moved from N to M1a.
MITNM_V2 = {
    "SEMINAL_VESICLE": ("T", "T3b"),
    "BLADDER_WALL": ("T", "T4"),
    "RECTUM": ("T", "T4"),
    "PELVIC_WALL": ("T", "T4"),
    "PROSTATE_BED": ("T", "Tr"),
    "LN_INTERNAL_ILIAC": ("N", "II"),
    "LN_EXTERNAL_ILIAC": ("N", "EI"),
    "LN_OBTURATOR": ("N", "OB"),
    "LN_PRESACRAL": ("N", "PS"),
    "LN_MESORECTAL": ("N", "OP"),
    "LN_OTHER_PELVIC": ("N", "OP"),
    "LN_COMMON_ILIAC": ("M1a", "CI"),
    "LN_RETROPERITONEAL": ("M1a", "RP"),
    "LN_MEDIASTINAL_HILAR": ("M1a", "SD"),
    "LN_SUPRACLAVICULAR": ("M1a", "SD"),
    "LN_AXILLARY": ("M1a", "SD"),
    "LN_CERVICAL": ("M1a", "SD"),
    "LN_INGUINAL": ("M1a", "OE"),
    "LN_OTHER_EXTRAPELVIC": ("M1a", "OE"),
    "BONE_MARROW_DIFFUSE": ("M1b", "dmi"),
    "LIVER": ("M1c", "hep"),
    "LUNG": ("M1c", "pul"),
    "ADRENAL": ("M1c", "adr"),
    "BRAIN": ("M1c", "brain"),
    "THYROID": (None, None),
    "GANGLION": (None, None),
    "PHYSIOLOGIC": (None, None),
    "OTHER_SOFT_TISSUE": (None, None),
}
# Decay Data Evaluation Project: half-life in minutes.
HALF_LIFE_MIN = {"F-18": 109.77, "Ga-68": 67.71}


def test_there_are_44_regions_with_a_row_each() -> None:
    assert len(Region) == 44
    assert [region.facts.region for region in Region] == list(Region)


@pytest.mark.parametrize("name", MITNM_V2)
def test_region_has_the_mitnm_code_of_promise_v2(name: str) -> None:
    facts = Region(name).facts
    assert (facts.mitnm_axis, facts.mitnm_code) == MITNM_V2[name]


def test_bones_are_m1b_and_nodes_are_n_or_m1a() -> None:
    for region in Region:
        assert (region.facts.mitnm_axis == "M1b") == region.is_bone
        assert (region.facts.mitnm_axis in ("N", "M1a")) == region.is_node


@pytest.mark.parametrize("region", [region for region in Region if region.facts.snomed])
def test_snomed_codes_stand_in_the_dicom_dictionary(region: Region) -> None:
    known = {code for entry in concepts["SCT"].values() for code in entry}
    assert region.facts.snomed in known


def test_midline_bones_have_no_side_and_paired_ones_no_middle() -> None:
    for region in (Region.BONE_CSPINE, Region.BONE_TSPINE, Region.BONE_LSPINE, Region.BONE_STERNUM):
        assert region.facts.sides == ("M",)
    for region in (Region.BONE_RIB, Region.BONE_FEMUR, Region.LN_AXILLARY, Region.LN_OBTURATOR, Region.BONE_PELVIS):
        assert set(region.facts.sides) == {"L", "R"}


def test_every_region_has_both_names() -> None:
    assert len({region.facts.name_de for region in Region}) == len({region.facts.name_en for region in Region}) == 44


@pytest.mark.parametrize("tracer", Tracer)
def test_half_life_is_that_of_the_radionuclide(tracer: Tracer) -> None:
    facts = tracer.facts
    assert facts.half_life_s / 60 == pytest.approx(HALF_LIFE_MIN[facts.radionuclide], rel=1e-4)
    assert tracer.value.startswith({"F-18": "18F", "Ga-68": "68Ga"}[facts.radionuclide])


def test_decay_constant_of_the_two_nuclides() -> None:
    """DDEP: 1.0524e-4 per second for F-18 and 1.7062e-4 for Ga-68."""
    assert log(2) / Tracer.DCFPYL.facts.half_life_s == pytest.approx(1.0524e-4, rel=1e-3)
    assert log(2) / Tracer.PSMA_11.facts.half_life_s == pytest.approx(1.7062e-4, rel=1e-3)


def test_only_fdg_is_no_psma_tracer() -> None:
    assert [tracer for tracer in Tracer if not tracer.facts.targets_psma] == [Tracer.FDG]
    assert Tracer.FDG.facts.expression_reference is None


def test_liver_excreted_tracer_is_compared_with_the_spleen() -> None:
    assert Tracer.PSMA_1007.facts.expression_reference == "spleen"
    assert Tracer.PSMA_11.facts.expression_reference == "liver"


def test_anatomy_counts_up_and_fits_a_byte() -> None:
    classes = anatomy_classes()
    assert [one.number for one in classes] == list(range(len(classes)))
    assert len(classes) < 256
    assert len({one.name for one in classes}) == len(classes)
    assert all(anatomy_number(one.name) == one.number for one in classes)
    assert classes[0].region is None
    with pytest.raises(KeyError):
        anatomy_number("spleen of a horse")


def test_every_bone_and_node_station_can_be_found_by_its_anatomy() -> None:
    found = {one.region for one in anatomy_classes()}
    without_a_place = {"LN_OTHER_PELVIC", "LN_OTHER_EXTRAPELVIC", "BONE_OTHER_EXTREMITY", "BONE_MARROW_DIFFUSE"}
    missing = {region.value for region in Region if (region.is_bone or region.is_node) and region not in found}
    assert missing <= without_a_place
