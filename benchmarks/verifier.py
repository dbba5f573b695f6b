"""How many seeded errors the verifier finds, and how many right reports it leaves alone, with 95 % intervals.

300 reports with one error each and 300 right ones, all synthetic, English and German in turn, in three forms: drafts of
this system with one line replaced or changed (replaced lines in the held-out wording), reports of another system in
wordings known while the verifier was made ("tuned"), and in wordings written apart from its lexicon ("held out"; since
then its words were added). What ordinary reports say is measured with single sentences of two habits of phrasing.
An error counts as found where any problem is named; "named" leaves out those that were only not understood. A right
report passes where nothing at all is named; in the held-out wording many a right sentence is not understood, which
this counts against it. Run it with ``python benchmarks/verifier.py``.
"""

from __future__ import annotations

import argparse
from collections import Counter

from evaluation_sets.reporting_language import SETS, changed, sentences
from evaluation_sets.reporting_language import problems as sentence_problems
from evaluation_sets.seeded_errors import Case, cases, right_cases
from evaluation_sets.shares import share
from rich.console import Console
from rich.table import Table

from reporting.verifier.document import read_document
from reporting.verifier.problems import NOT_UNDERSTOOD, Problem
from reporting.verifier.verify import Verifier

SEED = 70_000
FORMS = ("own", "tuned", "held_out")


def problems(case: Case) -> list[Problem]:
    """Verify one report as the command does."""
    return Verifier(case.exam, case.assessment).check(read_document(case.text, case.exam, where=case.form))


def measure(number: int, *, show_missed: bool) -> None:
    """Print sensitivity by error class and form, and specificity by form."""
    console = Console(width=150)
    for form in FORMS:
        planted, found, named = Counter[str](), Counter[str](), Counter[str]()
        for case in cases(number, SEED, form):
            wrong = problems(case)
            planted[case.kind] += 1
            found[case.kind] += bool(wrong)
            named[case.kind] += any(one.check != NOT_UNDERSTOOD for one in wrong)
            if show_missed and not wrong:
                print(f"--- missed {case.kind} in {form}\n{case.text}")
        right = [problems(case) for case in right_cases(number, SEED + 50_000, form)]
        passed = sum(not wrong for wrong in right)
        if show_missed:
            for wrong in [one for one in right if one][:8]:
                print("--- false alarm", form, [(one.check, one.said, one.table) for one in wrong][:3])
        table = Table("error class", "sensitivity (95 % interval)", "named as an error", title=f"form: {form}")
        for kind in planted:
            table.add_row(kind, share(found[kind], planted[kind]), share(named[kind], planted[kind]))
        table.add_row("all", share(found.total(), planted.total()), share(named.total(), planted.total()))
        console.print(table)
        accused = sum(any(one.check != NOT_UNDERSTOOD for one in wrong) for wrong in right)
        console.print(f"right reports that pass: {share(passed, len(right))}")
        console.print(f"right reports not accused of an error: {share(len(right) - accused, len(right))}")


def measure_sentences() -> None:
    """Print how many right sentences of ordinary reporting language pass, and how many changed ones do."""
    for name in SETS:
        said = sentences(name)
        passed = sum(not sentence_problems(one) for one in said)
        print(f"sentences, {name}: pass {share(passed, len(said))}")
        if name == "unconfirmed":
            continue
        wrong = [other for one in said for other in changed(one)]
        for kind in ("number", "side", "negation"):
            own = [one for one in wrong if one.kind == kind]
            print(f"  another {kind}: found {share(sum(bool(sentence_problems(one)) for one in own), len(own))}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=300, help="reports with an error, and right reports, a form")
    parser.add_argument("--missed", action="store_true", help="print what was missed and what was accused wrongly")
    options = parser.parse_args()
    measure_sentences()
    measure(options.number, show_missed=options.missed)
