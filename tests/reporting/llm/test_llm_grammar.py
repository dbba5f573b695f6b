from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reporting.llm.corpus import draw_examples
from reporting.llm.grammar import matcher, sentence_grammar
from reporting.wording.facts import broken_facts, forbidden_phrases, forbidden_words
from reporting.wording.vocabulary import split_codes

CODES = ("change:new", "class:indeterminate", "ct:none", "kind:bone", "uptake:low")
SLOTS = ("site", "suvmax", "category")
GOLD = "{site}: low uptake ({suvmax}), no CT correlate, new since the prior examination; indeterminate ({category})."


@pytest.fixture(scope="module")
def accepts(tiny_tokenizer):
    def check(text, codes=CODES, placeholders=SLOTS):
        running = matcher(tiny_tokenizer, sentence_grammar(split_codes(codes), placeholders))
        return running.consume_tokens(tiny_tokenizer(text).input_ids) and running.is_accepting()

    return check


def test_gold_sentences_are_accepted(accepts):
    assert accepts(GOLD)
    for example in draw_examples(60, 2):
        assert accepts(example.answer, example.codes, example.placeholders), example


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("low uptake", "low uptake 9"),
        ("low uptake", "left low uptake"),
        ("low uptake", "Right low uptake"),
        ("low uptake", "two foci with low uptake"),
        ("low uptake", "intense uptake"),
        ("low uptake", "SUVmean"),
        ("{suvmax}", "{suvmean}"),
        ("{suvmax}", "{volume}"),
        ("{suvmax}", "{category}"),
        (" ({suvmax})", ""),
        ("({suvmax})", "({suvmax}, {suvmax})"),
        ("indeterminate", "consistent with bone metastasis"),
        ("new since", "unchanged since"),
        ("examination;", "examination.\n"),
        ("{category}).", "{category})"),
    ],
)
def test_what_may_not_be_said_cannot_be_said(accepts, old, new):
    assert not accepts(GOLD.replace(old, new))


def test_a_banned_word_inside_a_longer_word_is_allowed(accepts):
    assert accepts(GOLD.replace("low uptake", "low uptake of the bone, bright"))


def test_a_silent_code_cannot_be_spoken_of(accepts):
    silent = ("change:none_prior", "class:indeterminate", "ct:unknown", "kind:bone", "uptake:low")
    assert accepts("{site}: low uptake; indeterminate.", silent, ("site",))
    assert not accepts("{site}: low uptake, no change since the prior examination; indeterminate.", silent, ("site",))
    assert not accepts("{site}: low uptake on CT; indeterminate.", silent, ("site",))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_a_random_walk_says_holds_the_placeholders_and_no_refused_word(tiny_tokenizer, seed):
    rng = np.random.default_rng(seed)
    example = draw_examples(1, seed)[0]
    values = split_codes(example.codes)
    running = matcher(tiny_tokenizer, sentence_grammar(values, example.placeholders))
    refused = [*forbidden_phrases(values), *forbidden_words(values)]
    tokens: list[int] = []
    while not running.is_stopped():
        # says what it must not as far as it is let, and now and then closes a gap so that it comes to an end
        wish = str(rng.choice(refused)) if rng.random() < 0.6 else rng.choice(["{", ".", " "])
        for wanted in tiny_tokenizer(f" {wish} ").input_ids:
            bits = np.unpackbits(np.frombuffer(running.compute_bitmask(), np.uint8), bitorder="little")
            allowed = np.flatnonzero(bits)
            tokens.append(wanted if bits[wanted] else int(rng.choice(allowed)))
            assert running.consume_token(tokens[-1])
            if running.is_stopped():
                break
    text = tiny_tokenizer.decode(tokens, skip_special_tokens=True)
    problems = broken_facts(values, example.placeholders, text)
    assert not [problem for problem in problems if problem.startswith(("says", "stray", "placeholders"))], text


def test_a_wrong_grammar_is_an_error(tiny_tokenizer):
    with pytest.raises(ValueError, match="MISSING"):
        matcher(tiny_tokenizer, "start: MISSING")
