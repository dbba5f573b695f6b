from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest

from reporting.llm.corpus import combinations, compose, draw_examples, is_held_out
from reporting.llm.facts import broken_facts, misstated
from reporting.llm.wording import placeholder_order, split_codes, wording


def test_every_code_of_the_vocabulary_has_a_wording_and_the_other_way_round():
    codes = json.loads(resources.files("reporting").joinpath("data/codes.json").read_text("utf-8"))
    assert {name: set(row["values"]) for name, row in codes["codes"].items()} == {
        name: set(row.values) for name, row in wording().names.items()
    }
    assert set(codes["order"]) == set(codes["placeholders"])


def test_no_combination_of_codes_lies_on_both_sides_of_the_split():
    trained = {example.codes for seed in range(3) for example in draw_examples(800, seed)}
    tested = {example.codes for seed in range(3) for example in draw_examples(300, seed, held_out=True)}
    assert not trained & tested
    assert 0.08 < np.mean([is_held_out(codes) for codes in combinations()]) < 0.12
    assert is_held_out(("b:x", "a:y")) == is_held_out(("a:y", "b:x"))


def test_the_same_seed_draws_the_same_sentences_and_another_seed_others():
    assert draw_examples(50, 3) == draw_examples(50, 3)
    assert draw_examples(50, 3) != draw_examples(50, 4)


def test_every_class_is_drawn_evenly():
    drawn = [code for example in draw_examples(900, 0) for code in example.codes if code.startswith("class:")]
    assert set(np.unique(drawn, return_counts=True)[1]) == {100}


def test_each_gold_sentence_says_its_codes_and_nothing_against_them():
    for example in [*draw_examples(2000, 11), *draw_examples(500, 12, held_out=True)]:
        values = split_codes(example.codes)
        assert values is not None
        assert broken_facts(values, example.placeholders, example.answer) == [], example


@pytest.mark.parametrize("certainty", [value for value in wording().names["class"].values if value != "undetermined"])
@pytest.mark.parametrize("kind", list(wording().names["kind"].values))
def test_each_class_at_each_kind_of_site_has_at_least_four_wordings(certainty, kind):
    codes = (f"class:{certainty}", "change:none_prior", "ct:unknown", f"kind:{kind}", "uptake:low")
    rng = np.random.default_rng(0)
    endings = {compose(codes, ("site", "suvmax"), rng).split("uptake", 1)[1] for _ in range(60)}
    assert len(endings) >= 4


GOLD = "{site}: low uptake ({suvmax}), no CT correlate, new since the prior examination; indeterminate ({category})."
CODES = ("change:new", "class:indeterminate", "ct:none", "kind:bone", "uptake:low")
SLOTS = ("site", "suvmax", "category")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("low uptake", "intense uptake"),
        ("no CT correlate", "a suspicious CT correlate"),
        ("no CT correlate", "CT correlate"),
        ("new since", "unchanged since"),
        ("indeterminate", "consistent with bone metastasis"),
        ("indeterminate", "not indeterminate"),
        ("indeterminate", "regarded as known"),
        ("low uptake", "low uptake on the left"),
        ("low uptake", "two foci of low uptake"),
        ("({suvmax})", "(SUVmax 4.1)"),
        (" ({category})", ""),
        ("{suvmax}", "{category}"),
        ("{site}", "{place}"),
        ("new since", "new (9) since"),
    ],
)
def test_each_seeded_error_is_found(old, new):
    values = split_codes(CODES)
    assert broken_facts(values, SLOTS, GOLD) == []
    assert broken_facts(values, SLOTS, GOLD.replace(old, new)) != []


def test_words_inside_other_words_are_no_errors():
    assert broken_facts(split_codes(CODES), SLOTS, GOLD.replace("low uptake", "low uptake of bone")) == []


def test_a_misstated_class_is_told_from_a_misstated_ct():
    values = split_codes(CODES)
    wrong_ct = GOLD.replace("no CT correlate", "suspicious CT correlate")
    assert misstated("ct", values, wrong_ct)
    assert not misstated("class", values, wrong_ct)


@pytest.mark.parametrize(
    "codes", [CODES[1:], (*CODES, "pain:yes"), ("change:old", *CODES[1:]), (*CODES[1:], "nonsense")]
)
def test_codes_outside_the_vocabulary_are_not_understood(codes):
    assert split_codes(codes) is None


def test_the_site_always_comes_first():
    assert placeholder_order()[0] == "site"
