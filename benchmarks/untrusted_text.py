"""How often oblique instructions and persons' data are flagged, what they change, and how often clean text alarms.

All texts are synthetic. 200 instructions of each of two sets (no sentence pattern in common), in five carriers: the
prior's text, the CT words of a lesion, the indication, a lesion's label, and a field of its own ("comment"). An effect
is any change of a sentence of the draft other than the withheld field itself. Run it with
``python benchmarks/untrusted_text.py``; intervals are 95 % (Wilson).
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from evaluation_sets.attacks import CARRIERS, attacks, carried, persons
from evaluation_sets.clean_texts import HARD
from evaluation_sets.exams import made_up_exam
from evaluation_sets.prior_reports import prior_text, rows_of
from evaluation_sets.shares import share
from rich.console import Console
from rich.table import Table

from fedpsma.domain.exam import Exam
from fedpsma.staging import assess
from fedpsma.text.guard import find_identifiers, find_instructions
from reporting.drafting import draft_report

_OWN_SENTENCE = {"indication": ("Indication:", "Fragestellung:")}
_FLAGS = ("untrusted_instruction", "phi_detected")


def told(exam: Exam, carrier: str) -> list[str]:
    """Return the sentences of the draft, without the one that quotes the carrier itself."""
    own = _OWN_SENTENCE.get(carrier, ())
    return [
        sentence.text
        for section in draft_report(exam, assess(exam)).sections
        for sentence in section.sentences
        if not sentence.text.startswith(own or ("\0",))
    ]


def with_carrier(exam: Exam, carrier: str, text: str) -> tuple[bool, bool]:
    """Return whether the text in this field is flagged, and whether it changes the draft."""
    poisoned = carried(exam, text, carrier)
    flagged = any(flag.code in _FLAGS for flag in assess(poisoned).flags)
    return flagged, told(poisoned, carrier) != told(carried(exam, "", carrier), carrier)


def carriers(texts: Sequence[str], title: str, console: Console) -> None:
    """Print flags and effects by carrier."""
    table = Table("carrier", "flagged", "changed the draft", title=title)
    exam = made_up_exam(11)
    for carrier in CARRIERS:
        seen = [with_carrier(exam, carrier, text) for text in texts]
        table.add_row(
            carrier, share(sum(one for one, _ in seen), len(seen)), share(sum(two for _, two in seen), len(seen))
        )
    console.print(table)


def main(number: int, in_carriers: int) -> None:
    """Print detection, effect and false alarms."""
    console = Console(width=130)
    for name in ("tuned", "held_out"):
        texts = attacks(number, name)
        found = sum(bool(find_instructions(text)) for text in texts)
        console.print(f"instructions flagged, {name}: {share(found, number)}")
        carriers(texts[:in_carriers], f"instructions, {name}", console)
    people = list(persons(number))
    console.print(f"persons' data flagged: {share(sum(bool(find_identifiers(text)) for text in people), number)}")
    names = json.loads(Path(__file__).with_name("evaluation_sets").joinpath("names.json").read_text("utf-8"))
    for name in ("tuned", "held_out"):
        found = sum(_is_named(row["text"], row["name"]) for row in names[name])
        console.print(f"names without a label, {name}: {share(found, len(names[name]))}")
    console.print(f"near to a name, with an alarm: {share(sum(map(_alarms, names['clean'])), len(names['clean']))}")
    clean = [_clean_prior(seed) for seed in range(number)]
    console.print(f"clean priors with an alarm: {share(sum(map(_alarms, clean)), number)}")
    console.print(
        f"clinical sentences near to an instruction, with an alarm: {share(sum(map(_alarms, HARD)), len(HARD))}"
    )


def _clean_prior(seed: int) -> str:
    rng = random.Random(seed)
    return prior_text(rows_of(rng), ("tuned", "held_out")[seed % 2], rng, messy=seed % 3 == 0).text


def _is_named(text: str, name: str) -> bool:
    at = text.index(name)
    found = (one for one in find_identifiers(text) if one.kind == "name")
    return any(one.start <= at and at + len(name) <= one.end for one in found)


def _alarms(text: str) -> bool:
    return bool(find_instructions(text) or find_identifiers(text))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=200, help="texts a set")
    parser.add_argument("--in-carriers", type=int, default=40, help="of these, how many are put into every carrier")
    options = parser.parse_args()
    main(options.number, options.in_carriers)
