"""The tracer is named only where the header leaves no doubt."""

from __future__ import annotations

import pytest

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.radiopharmaceutical import (
    RadiopharmaceuticalHeader,
    guess_tracer,
    radionuclide,
    require_half_life,
)

F18, GA68 = 6586.2, 4062.6


@pytest.mark.parametrize(
    ("name", "half_life_s", "tracer"),
    [
        ("FDG -- fluorodeoxyglucose", 6588.0, Tracer.FDG),
        ("Fluorodeoxyglucose F^18^", F18, Tracer.FDG),
        ("68Ga-PSMA-11", 4080.0, Tracer.PSMA_11),
        ("Ga68 PSMA-HBED-CC", GA68, Tracer.PSMA_11),
        ("[18F]DCFPyL (Pylarify)", F18, Tracer.DCFPYL),
        ("F18-PSMA-1007", F18, Tracer.PSMA_1007),
        ("18F-rhPSMA-7.3", F18, Tracer.RHPSMA_7_3),
        ("PSMA", GA68, None),
        ("68Ga-PSMA", GA68, None),
        ("68Ga-DOTATATE", GA68, None),
        ("Solution", F18, None),
        (None, F18, None),
        ("PSMA-1007", GA68, None),
        ("FDG or PSMA-1007", F18, None),
    ],
)
def test_names_in_use(name: str | None, half_life_s: float, tracer: Tracer | None) -> None:
    found = guess_tracer(RadiopharmaceuticalHeader(name=name, half_life_s=half_life_s))
    assert found.tracer is tracer
    assert (tracer is None) == bool(found.notes)
    assert (tracer is None) == (found.evidence is None)


@pytest.mark.parametrize(
    ("code", "tracer"),
    [
        ("SCT 35321007", Tracer.FDG),
        ("SRT C-B1031", Tracer.FDG),
        ("NCIt C118961", Tracer.PSMA_11),
        ("NCIt C116352", Tracer.DCFPYL),
        ("DCM 126758", Tracer.PSMA_1007),
        ("DCM 126759", None),
    ],
)
def test_codes_of_the_dicom_standard(code: str, tracer: Tracer | None) -> None:
    found = guess_tracer(RadiopharmaceuticalHeader(code=code))
    assert found.tracer is tracer
    assert found.evidence == (None if tracer is None else code)


def test_codes_are_those_of_the_dictionary() -> None:
    from pydicom.sr.codedict import codes

    named = {
        "SCT 35321007": codes.cid4021.FluorodeoxyglucoseF18,
        "NCIt C118961": codes.cid4021.PSMA11Ga68,
        "NCIt C116352": codes.cid4021.PiflufolastatF18,
        "DCM 126758": codes.cid4021.PSMA1007F18,
        "SCT 77004003": codes.cid4020._18Fluorine,
        "SCT 35337001": codes.cid4020._68Gallium,
        "SCT 3932008": codes.cid4020._64Copper,
        "SCT 40565003": codes.cid4020._11Carbon,
        "SCT 63360001": codes.cid4020._89Zirconium,
    }
    for ours, theirs in named.items():
        assert ours == f"{theirs.scheme_designator} {theirs.value}"


def test_radionuclide_by_code_by_text_and_by_half_life() -> None:
    assert radionuclide(RadiopharmaceuticalHeader(nuclide_code="99SDM C-111A1")) == "F-18"
    assert radionuclide(RadiopharmaceuticalHeader(nuclide_code="SRT C-131A3")) == "Ga-68"
    assert radionuclide(RadiopharmaceuticalHeader(nuclide_meaning="^68^Gallium")) == "Ga-68"
    assert radionuclide(RadiopharmaceuticalHeader(half_life_s=6588)) == "F-18"
    assert radionuclide(RadiopharmaceuticalHeader(half_life_s=45_721)) == "Cu-64"
    assert radionuclide(RadiopharmaceuticalHeader(half_life_s=5000)) is None
    assert radionuclide(RadiopharmaceuticalHeader(nuclide_meaning="unknown", half_life_s=6588)) is None


def test_evidence_is_a_word_of_our_own_table() -> None:
    found = guess_tracer(RadiopharmaceuticalHeader(name="F18-PSMA-1007 for Mr Muster"))
    assert (found.tracer, found.evidence) == (Tracer.PSMA_1007, "PSMA1007")
    silent = guess_tracer(RadiopharmaceuticalHeader(name="for Mr Muster"))
    assert silent.tracer is None
    assert not any("Muster" in note for note in silent.notes)


def test_half_life_of_another_nuclide_is_refused() -> None:
    header = RadiopharmaceuticalHeader(nuclide_code="SRT C-111A1", half_life_s=109.77)
    with pytest.raises(InputError, match=r"RadionuclideHalfLife \(0018,1075\) is 109.77 s, but F-18 has 6586.2 s"):
        require_half_life(header, where="series 7")
    require_half_life(RadiopharmaceuticalHeader(nuclide_code="SRT C-111A1", half_life_s=6588), where="series 7")
    require_half_life(RadiopharmaceuticalHeader(half_life_s=109.77), where="series 7")


def test_contradicting_half_life_is_told() -> None:
    header = RadiopharmaceuticalHeader(name="FDG", nuclide_meaning="18F", half_life_s=GA68)
    found = guess_tracer(header)
    assert found.tracer is Tracer.FDG
    assert found.notes == ("half-life 4062.6 s in the header, 6586.2 s by the physics: SUV may be wrong",)
