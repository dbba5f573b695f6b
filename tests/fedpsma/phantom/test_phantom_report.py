from __future__ import annotations

import re

import numpy as np
import pytest

from fedpsma.phantom.lesions import lesion_table, mimic_rows
from fedpsma.phantom.patient import PhantomOptions, draw_patient
from fedpsma.phantom.report import part_of, wording, write_report
from fedpsma.phantom.sites import site_profiles
from fedpsma.phantom.tables import read_table
from fedpsma.text.guard import find_identifiers, find_instructions
from fedpsma.text.prior_report import read_prior_report

LANGUAGES = ("en", "de")


def told(patient, language, before=None, seed=0):
    exam = patient.truth.exam.model_copy(update={"language": language})
    truth = patient.truth.model_copy(update={"exam": exam})
    return write_report(np.random.default_rng(seed), truth, before, patient.assessment.true_mitnm_string)


def where(region, side, language):
    name = region.facts.name_de if language == "de" else region.facts.name_en
    return name if "L" not in region.facts.sides else wording(language).sides[side].format(name=name)


def number(value, language):
    return f"{value:.1f}".replace(".", wording(language).decimal)


def values_in(text):
    return sorted(re.findall(r"SUVmax (\d+[.,]\d)", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_lesion_is_told_and_nothing_else(patients, pairs, language):
    scans = [(one, None) for site in "ABC" for one in patients[site]]
    scans += [(later, first.truth) for first, later in pairs]
    for patient, before in scans:
        text = told(patient, language, before)
        expected = []
        for lesion in patient.truth.exam.lesions:
            assert where(lesion.region, lesion.side, language).lower() in text.lower()
            expected.append(number(lesion.suvmax, language))
        for focus in patient.truth.foci:
            if not focus.suspicious and wording(language).kinds[focus.kind] is not None:
                assert wording(language).kinds[focus.kind] in text
                expected.append(number(focus.suvmax, language))
        assert values_in(text) == sorted(expected), text


def test_the_value_stands_with_its_place(patients):
    for site in "ABC":
        for patient in patients[site]:
            text = told(patient, "en")
            for lesion in patient.truth.exam.lesions:
                place = where(lesion.region, lesion.side, "en").lower()
                sentences = [one for one in re.split(r"(?<=\.)\s", text.lower()) if place in one]
                assert any(re.search(rf"\b{lesion.suvmax:.1f}\b", one) for one in sentences), (place, lesion.suvmax)


def test_an_empty_part_is_called_empty(patients):
    for patient in patients["A"] + patients["B"]:
        text = told(patient, "en")
        parts = {part_of(one.region) for one in patient.truth.exam.lesions}
        for part, forms in wording("en").none.items():
            assert (part not in parts) == any(form in text for form in forms), part


def test_stage_and_response_stand_in_the_impression(pairs):
    for first, later in pairs:
        for patient in (first, later):
            impression = patient.report.split("\n\n")[-1]
            assert patient.assessment.true_mitnm_string in impression
        recip = later.truth.follow_up.recip
        assert (recip is not None) == ("RECIP" in later.report)
        if recip:
            assert f"RECIP {recip}" in later.report


def test_the_reader_of_priors_understands_the_report(patients):
    """What another part of the library reads out of the text is what was true."""
    found = true = 0
    for site in "ABC":
        for patient in patients[site]:
            findings = read_prior_report(told(patient, "en")).findings
            read = {(one.region, one.side, one.suvmax) for one in findings}
            exam = {(one.region, one.side, one.suvmax) for one in patient.truth.exam.lesions}
            singles = {row for row in exam if sum(row[:2] == other[:2] for other in exam) <= 3}
            found += len(singles & read)
            true += len(singles)
    assert true > 15
    assert found >= 0.9 * true


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report_names_nobody_and_instructs_nobody(patients, language):
    for site in "ABC":
        for patient in patients[site]:
            text = told(patient, language)
            assert find_identifiers(text) == ()
            assert find_instructions(text) == ()
            assert patient.study.patient_id not in text
            assert patient.study.date not in text


def test_phrasing_differs_by_seed_and_facts_do_not(patients):
    patient = patients["C"][1]
    texts = {told(patient, "de", seed=seed) for seed in range(6)}
    assert len(texts) == 6
    assert len({tuple(values_in(text)) for text in texts}) == 1


def test_the_language_is_the_sites_or_as_asked(patients):
    languages = read_table("report.json")["site_language"]
    assert set(languages) == set(site_profiles())
    for site in "ABC":
        assert patients[site][0].truth.exam.language == languages[site]
    asked = draw_patient("A", 0, 3, PhantomOptions(spacing_mm=6.0, language="en"))
    assert "Impression:" in asked.report


def test_every_kind_and_finding_has_its_words():
    kinds = {row.kind for row in mimic_rows()}
    correlates = {
        one.ct_correlate
        for kind, rows in lesion_table().ct.items()
        if kind != "node"
        for one in rows
        if one.ct_correlate
    }
    for language in LANGUAGES:
        assert set(wording(language).kinds) == kinds
    assert set(wording("de").ct_terms) == correlates


def test_both_languages_offer_several_forms():
    for language in LANGUAGES:
        words = wording(language)
        for forms in (words.single, words.benign, words.stage, words.title, *words.none.values()):
            assert len(set(forms)) >= 2


def test_a_site_without_ct_tells_no_ct_finding():
    patient = next(
        one
        for one in (draw_patient("E", index, 2, PhantomOptions(spacing_mm=6.0)) for index in range(20))
        if one.truth.exam.lesions
    )
    assert patient.study.ct is None
    assert all(one.ct_class is None and one.size_mm is None for one in patient.truth.exam.lesions)
    assert ", CT:" not in patient.report
    assert "CT correlate" not in patient.report
