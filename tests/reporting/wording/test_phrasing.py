"""Styles and a site's own phrasing: what may be said otherwise, and what may not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from exam_generator import generate_exam
from typer.testing import CliRunner

from fedpsma.errors import InputError
from fedpsma.staging import assess
from reporting.commands import report
from reporting.drafting import draft_report
from reporting.sentences import SentenceRequest
from reporting.wording.compose import Drawn, First, alternatives, compose, is_of_style
from reporting.wording.phrasing import _problems, read_phrasing, style
from reporting.wording.vocabulary import combinations, split_codes

STYLES = [style(name, language) for name in ("standard", "terse", "prose") for language in ("en", "de")]
SLOTS = ("site", "size", "suvmax", "category")


@pytest.mark.parametrize("phrasing", STYLES, ids=lambda one: f"{one.name}-{one.language}")
def test_the_presets_keep_the_rules_of_a_phrasing_file(phrasing):
    assert list(_problems(phrasing)) == []


@pytest.mark.parametrize("phrasing", STYLES, ids=lambda one: f"{one.name}-{one.language}")
def test_every_wording_that_is_drawn_is_one_of_the_alternatives(phrasing):
    rng = np.random.default_rng(4)
    every = combinations()
    for index in rng.integers(len(every), size=60):
        codes = every[int(index)]
        slots = SLOTS if "class:undetermined" not in codes else SLOTS[:-1]
        values, request = split_codes(codes), SentenceRequest(codes, slots, fallback="")
        for picker in (First(), Drawn(rng)):
            assert is_of_style(compose(phrasing, values, slots, picker), request, phrasing)
        assert not is_of_style("{site} is fine.", request, phrasing)


def test_alternatives_multiply_what_a_style_offers():
    values = split_codes(("change:new", "class:indeterminate", "ct:none", "kind:bone", "uptake:low"))
    orders = alternatives(style("prose", "en"), values, ("site", "suvmax", "category"))
    assert sum(np.prod([len(slot) for slot in slots]) for slots in orders) > 1000
    assert sum(np.prod([len(slot) for slot in slots]) for slots in alternatives(STYLES[0], values, SLOTS)) == 1


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "ours.json"
        path.write_text(json.dumps(content))
        return path

    return write


OURS = {
    "language": "en",
    "heads": {"plain": ["{site} demonstrates <uptake>"]},
    "clauses": {
        "uptake": {"intense": ["markedly intense uptake"]},
        "class": {"malignant": ["in keeping with <tumour>"]},
    },
    "tumour": {"bone": ["osseous metastasis"]},
}


def test_a_sites_own_words_stand_in_the_draft_and_the_rest_is_standard(file):
    phrasing = read_phrasing(file(OURS), "en")
    codes = {"kind": "bone", "uptake": "intense", "ct": "none", "change": "new", "class": "malignant"}
    assert compose(phrasing, codes, ("site", "category"), First()) == (
        "{site} demonstrates markedly intense uptake, no CT correlate, new since the prior examination: "
        "in keeping with osseous metastasis ({category})."
    )


@pytest.mark.parametrize("seed", range(40, 44))
def test_a_sites_own_words_pass_the_verifier(file, seed):
    exam = generate_exam(seed, lesions=6)
    draft = draft_report(exam, assess(exam), phrasing=read_phrasing(file(OURS), "en"))
    assert draft.verification.passed
    assert draft.provenance.style == "ours"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"clauses": {"ct": {"none": ["no correlate on CT on the left"]}}}, "'left'"),
        ({"clauses": {"uptake": {"low": ["SUV 3 uptake"]}}}, "says 'suv'"),
        ({"clauses": {"uptake": {"low": ["some 3 low uptake"]}}}, "neither a letter"),
        ({"clauses": {"uptake": {"low": ["cold"]}}}, "does not say it; one of these words is needed: low uptake"),
        ({"clauses": {"uptake": {"low": ["intense uptake"]}}}, "says 'intense'"),
        ({"clauses": {"uptake": {"low": []}}}, "is empty"),
        ({"clauses": {"uptake": {"huge": ["huge uptake"]}}}, "'huge' is not one of"),
        ({"clauses": {"class": {"suspicious": ["suspicious for {suvmax}"]}}}, "must hold no placeholder"),
        ({"clauses": {"ct": {"unknown": ["CT not read"]}}}, "must stay empty"),
        ({"clauses_with_prior": {"stable": ["stable"]}}, "must hold {prior_suvmax}"),
        ({"heads": {"plain": ["Uptake in {site}"]}}, "must hold {site} and <uptake>"),
        ({"heads": {"plain": ["{site}, benign, <uptake>"]}}, "'benign"),
        ({"heads": {"size": ["{size} in {site}: <uptake>"]}}, "in the order"),
        ({"heads": {"plain": ["{site}: no <uptake>"]}}, "says 'no'"),
        ({"joins": [" and {category} "]}, "no placeholder"),
        ({"tumour": {"bone": ["two metastases"]}}, "'two'"),
        ({"clause": {}}, "clause: Extra inputs"),
        ({"language": "de"}, "the report is in 'en'"),
        ([], "must be a JSON object"),
    ],
)
def test_a_phrasing_that_could_change_a_fact_is_one_clear_line(file, content, problem):
    with pytest.raises(InputError) as caught:
        read_phrasing(file(content), "en")
    assert problem in str(caught.value)
    assert "ours.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_takes_a_style_or_a_file_but_not_both(file, tmp_path):
    exam = tmp_path / "exam.json"
    exam.write_text(
        json.dumps({"tracer": "68Ga-PSMA-11", "lesions": [{"lesion_id": "L1", "region": "BONE_RIB", "suvmax": 4.2}]})
    )
    options = ["draft", str(exam), "--out", str(tmp_path / "out"), "--writer", "template"]
    answer = CliRunner().invoke(report, [*options, "--phrasing", str(file(OURS))])
    assert answer.exit_code == 0, answer.output
    assert "Rib demonstrates" in answer.output
    both = CliRunner().invoke(report, [*options, "--phrasing", str(file(OURS)), "--style", "terse"])
    assert isinstance(both.exception, InputError)
