from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest

from fedpsma.errors import InputError
from reporting.llm.corpus import draw_examples, read_corpus, write_corpus
from reporting.wording.compose import Drawn, compose
from reporting.wording.facts import broken_facts, misstated
from reporting.wording.phrasing import style
from reporting.wording.vocabulary import combinations, is_held_out, marks, placeholder_order, split_codes, values_of


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_code_of_the_vocabulary_has_marks_and_the_other_way_round(language):
    codes = json.loads(resources.files("reporting").joinpath("data/codes.json").read_text("utf-8"))
    assert {name: set(row["values"]) for name, row in codes["codes"].items()} == {
        name: set(row.values) for name, row in marks(language).names.items()
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


@pytest.mark.parametrize("phrasing", [style("prose", "en"), style("terse", "de"), style("standard", "de")])
def test_each_gold_sentence_says_its_codes_and_nothing_against_them(phrasing):
    drawn = [*draw_examples(700, 11, phrasing=phrasing), *draw_examples(200, 12, held_out=True, phrasing=phrasing)]
    for example in drawn:
        if phrasing.name != "prose" and "class:malignant" in example.codes:
            continue  # a bare "Metastase" is recognised by the verifier, not by these marks
        values = split_codes(example.codes)
        assert values is not None
        assert broken_facts(values, example.placeholders, example.answer, example.language) == [], example


@pytest.mark.parametrize("certainty", [value for value in values_of("class") if value != "undetermined"])
@pytest.mark.parametrize("kind", values_of("kind"))
def test_each_class_at_each_kind_of_site_has_at_least_four_wordings(certainty, kind):
    codes = (f"class:{certainty}", "change:none_prior", "ct:unknown", f"kind:{kind}", "uptake:low")
    picker, values = Drawn(np.random.default_rng(0)), split_codes(codes)
    endings = {
        compose(style("prose", "en"), values, ("site", "suvmax"), picker).split("uptake", 1)[1] for _ in range(60)
    }
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


def test_a_corpus_never_shares_a_combination_between_training_and_test(tmp_path):
    written = write_corpus(tmp_path / "corpus", 300, 3, style("terse", "en"))
    train, test = (read_corpus(tmp_path / "corpus", name) for name in ("train", "test"))
    assert (len(train), len(test)) == (300, 30) == (written["train"], written["test"])
    assert not {one.codes for one in train} & {one.codes for one in test}
    assert all(is_held_out(one.codes) for one in test)
    card = json.loads((tmp_path / "corpus" / "card.json").read_text())
    assert (card["style"], card["split"]) == ("terse", "by combination of codes")


def test_a_file_that_is_no_corpus_is_one_clear_line(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"text": "no pair"}\n')
    with pytest.raises(InputError, match="fedpsma report corpus"):
        read_corpus(tmp_path, "train")
