"""Misspelt, broken and tabular text is read, and every character keeps its origin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpsma.text.language import find_language
from fedpsma.text.repair import repaired
from fedpsma.text.spelling import corrected


@pytest.mark.parametrize(
    ("word", "right"),
    [
        ("obturatro", "obturator"),
        ("Lymphknten", "Lymphknoten"),
        ("retropeiitonealer", "retroperitoneal"),
        ("Metastse", "Metastase"),
        ("lfet", "left"),
        ("rihgt", "right"),
        ("recths", "rechts"),
        ("praesakral", None),
    ],
)
def test_near_words_are_read(word, right):
    assert corrected(word) == right


@pytest.mark.parametrize(
    "word",
    [
        "note",
        "regional",
        "carotid",
        "extern",
        "intern",
        "patient",
        "August",
        "normal",
        "renal",
        "ileal",
        "vertical",
        "lift",
    ],
)
def test_other_words_are_left_alone(word):
    assert corrected(word) is None


@given(st.text(max_size=200))
def test_every_character_of_the_copy_has_an_origin(text):
    copy = repaired(text)
    assert len(copy.lefts) == len(copy.text) + 1 == len(copy.rights)
    assert all(0 <= left <= right <= len(text) for left, right in zip(copy.lefts, copy.rights, strict=True))
    assert all(text[one.start : one.end] == one.quote for one in copy.repairs)


def test_a_clean_text_is_its_own_copy():
    text = "Left external iliac node 9 mm, SUVmax 8.1. Liver normal.\nSternum: no uptake."
    assert (repaired(text).text, repaired(text).repairs) == (text, ())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("L4 met 14.7", "en"),
        ("Keine Metastasen, Leber unauffällig", "de"),
        ("Fixation du ganglion iliaque avec une lésion dans le foie", None),
        ("Captazione del linfonodo di sinistra con SUV 9", None),
        ("Очаг в печени", None),
    ],
)
def test_languages(text, language):
    assert find_language(text) == language
