"""The data file of codes against the dictionary of the DICOM standard that pydicom carries."""

from __future__ import annotations

from typing import get_args

import pytest
from pydicom.sr._concepts_dict import concepts

from fedpsma.domain.assessment import Change
from fedpsma.domain.region import Region
from reporting.data_files import read_data
from reporting.exporters.codes import private, standard, standard_site

KNOWN = {(scheme, value) for scheme, names in concepts.items() for codes in names.values() for value in codes}
CODES = read_data("export_codes.json")


@pytest.mark.parametrize("name", [name for name, row in CODES["standard"].items() if row["scheme"] != "UCUM"])
def test_standard_codes_stand_in_the_dictionary(name):
    code = standard(name)
    assert (code.scheme, code.value) in KNOWN


def test_every_confirmed_site_has_a_meaning_and_a_dictionary_entry():
    for region in Region:
        site = standard_site(region)
        assert (site is None) == (region.facts.snomed is None)
        assert site is None or ("SCT", site.value) in KNOWN
    assert set(CODES["sites"]) == {region.facts.snomed for region in Region} - {None}


def test_private_codes_have_versions_and_fit_the_standard():
    for name in CODES["private"]:
        code = private(name)
        assert code.version
        assert len(code.value) <= 16
        assert len(code.meaning) <= 64
        assert code.uri.startswith("urn:uuid:")


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_change_and_column_has_its_word(language):
    words = read_data("report_words.json")[language]
    assert set(words["change"]) == set(get_args(Change))
    assert set(words["columns"]) == set(read_data("report_words.json")["en"]["columns"])
    assert set(words) == set(read_data("report_words.json")["en"])
