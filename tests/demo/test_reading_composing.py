from __future__ import annotations

from reading_cases import first_result, marked, reading_after

from demo.reading.composing import ShownSentence
from demo.reading.edits import AddSentence, DeleteLesion, RevertSentence, SetSide
from demo.reading.history import advance
from demo.reading.result import Result, result_of

OWN = "Obturator node, seen again by the reader [L2]."


def _of(result: Result, marker: str) -> list[ShownSentence]:
    return [one for one in result.sentences if one.marker == marker]


def test_an_untouched_report_is_the_draft() -> None:
    result = first_result()
    assert result.draft is not None
    assert [one.text for one in result.sentences] == [
        sentence.text for section in result.draft.sections for sentence in section.sentences
    ]
    assert result.draft.verification.passed
    assert len({one.key for one in result.sentences}) == len(result.sentences)


def test_the_readers_words_stand_when_the_facts_change_and_say_that_they_did() -> None:
    reading = reading_after(marked(first_result(), "L2", "edited", OWN))
    (yours,) = _of(result_of(reading), "yours")
    assert (yours.text, yours.origin) == (OWN, "reader")

    result = result_of(advance(reading, SetSide(lesion="L2", side="L")))
    (conflict,) = _of(result, "conflict")
    assert conflict.text == OWN
    assert conflict.drafted.startswith("Left obturator node")
    assert result.draft is not None
    kept = result.draft.section("pelvic_nodes").sentences[0]
    assert (kept.text, kept.origin, "L2" in kept.cites) == (OWN, "reader", True)


def test_the_readers_words_outlive_their_lesion_and_the_checks_ask_about_them() -> None:
    reading = reading_after(marked(first_result(), "L2", "edited", OWN), DeleteLesion(lesion="L2"))
    result = result_of(reading)
    (orphan,) = _of(result, "orphan")
    assert orphan.text == OWN
    assert result.draft is not None
    assert not result.draft.verification.passed


def test_an_accepted_sentence_says_when_it_changed() -> None:
    reading = reading_after(marked(first_result(), "L2", "accepted"))
    assert len(_of(result_of(reading), "accepted")) == 1
    changed = result_of(advance(reading, SetSide(lesion="L2", side="L")))
    assert len(_of(changed, "changed")) == 1


def test_regenerating_drops_the_readers_words_and_says_so() -> None:
    first = first_result()
    reading = reading_after(marked(first, "L2", "edited", OWN), marked(first, "L2", "regenerated"))
    (again,) = _of(result_of(reading), "regenerated")
    assert again.text == again.drafted != OWN
    back = advance(reading, RevertSentence(key=again.key))
    assert result_of(back).sentences == first.sentences


def test_a_struck_sentence_stays_on_the_page_and_leaves_the_report() -> None:
    result = first_result(marked(first_result(), "L2", "struck"))
    (struck,) = _of(result, "struck")
    assert result.draft is not None
    assert struck.text not in [one.text for section in result.draft.sections for one in section.sentences]


def test_an_added_sentence_is_the_readers_and_can_be_taken_away() -> None:
    reading = reading_after(AddSentence(section="bone", text="  Old   fracture of a rib. "))
    (own,) = _of(result_of(reading), "yours")
    assert own.text == "Old fracture of a rib."
    assert result_of(advance(reading, RevertSentence(key=own.key))).sentences == first_result().sentences


def test_a_wrong_number_of_the_reader_fails_its_check() -> None:
    first = first_result()
    drafted = next(one for one in first.sentences if "SUVmax 15.1" in one.text)
    result = first_result(marked(first, "L2", "edited", drafted.text.replace("15.1", "51.1")))
    assert result.draft is not None
    assert "numbers" in {check.name for check in result.draft.verification.checks if not check.passed}
