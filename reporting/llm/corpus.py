"""Synthetic sentences to tune a model on, composed from the clauses of a style, split by combination of codes.

Every sentence is invented by this module; no report of a patient has any part in it.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from datasets import Dataset

from fedpsma.domain.exam import Exam
from fedpsma.errors import InputError
from fedpsma.io.files import finished_folder, read_text, require_own_folder, write_json
from fedpsma.staging import assess
from reporting.evaluation.exams import FIRST_TEST_SEED, synthetic_exam
from reporting.plan.case import build_case
from reporting.plan.planner import plan_report
from reporting.sentences import Language, SentenceRequest
from reporting.wording.compose import Drawn, compose
from reporting.wording.phrasing import Phrasing, style
from reporting.wording.vocabulary import combinations, is_held_out, placeholder_order, split_codes

_WITH_PRIOR_VALUE = 0.6
_WITH_SUVMAX = 0.9
_WITH_SIZE = 0.5
_WITH_CATEGORY = 0.7
_EXAMS_A_SEED = 10_000
CARD_FILE, TRAIN_FILE, TEST_FILE = "card.json", "train.jsonl", "test.jsonl"
_MOST_REPEATS = 4


@dataclass(frozen=True)
class Example:
    """A combination of codes, the placeholders to use, and one right wording.

    ``patient`` is the pseudonym of whose finding it is; empty where it is nobody's.
    """

    codes: tuple[str, ...]
    placeholders: tuple[str, ...]
    answer: str
    language: Language = "en"
    patient: str = ""


def draw_examples(count: int, seed: int, *, held_out: bool = False, phrasing: Phrasing | None = None) -> list[Example]:
    """Draw sentences, each of a combination of its own as long as there are enough of them.

    Classes are drawn evenly, because the rare ones would otherwise hardly be seen.

    Args:
        count: How many.
        seed: Decides combinations, placeholders and wordings.
        held_out: Draw from the test combinations instead of the training ones.
        phrasing: The style of the sentences; English prose by default.
    """
    rng = np.random.default_rng(seed)
    used = phrasing or style("prose", "en")
    return [_example(codes, used, rng) for codes in itertools.islice(_evenly(rng, held_out), count)]


def exam_examples(count: int, seed: int, *, held_out: bool, phrasing: Phrasing, first: int = 0) -> list[Example]:
    """Draw sentences for what the rules make of synthetic exams; each request comes up a few times at most.

    Every exam is a patient of its own; ``first`` leaves so many exams of the seed out.
    """
    rng, times, found = np.random.default_rng(seed), Counter[SentenceRequest](), list[Example]()
    for number in range(first, first + count * _MOST_REPEATS):
        exam_seed = (seed * _EXAMS_A_SEED + number) % FIRST_TEST_SEED
        exam = synthetic_exam(exam_seed, phrasing.language)
        for request in _requests(exam):
            if is_held_out(request.codes) == held_out and times[request] < _MOST_REPEATS:
                times[request] += 1
                answer = compose(phrasing, split_codes(request.codes) or {}, request.placeholders, Drawn(rng))
                patient = f"exam-{exam_seed:06d}"
                found.append(Example(request.codes, request.placeholders, answer, phrasing.language, patient))
        if len(found) >= count:
            break
    return found[:count]


def write_corpus(out: Path, pairs: int, seed: int, phrasing: Phrasing, site: str | None = None) -> dict[str, int]:
    """Write ``train.jsonl``, ``test.jsonl`` and ``card.json``: half from synthetic exams, half from all combinations.

    For a site of a federation all pairs are from exams, so that each one belongs to a patient.

    Args:
        out: The folder; one that is there is replaced when all is written.
        pairs: Pairs to train on; the test file holds a tenth as many.
        seed: Decides everything that is drawn.
        phrasing: The style of the sentences.
        site: Name of the site of a federation whose pairs these are.

    Returns:
        How many pairs are in each file.

    Raises:
        InputError: The folder holds something else than an earlier corpus.
    """
    require_own_folder(out, CARD_FILE, (TRAIN_FILE, TEST_FILE))
    written = {}
    with finished_folder(out) as unfinished:
        for name, wanted, held_out in (("train", pairs, False), ("test", pairs // 10, True)):
            from_exams = wanted // 2 if site is None else wanted
            # The patients of a site are on one side of the split.
            first = _EXAMS_A_SEED // 2 if site is not None and held_out else 0
            found = exam_examples(from_exams, seed, held_out=held_out, phrasing=phrasing, first=first)
            if site is None:
                found += draw_examples(wanted - len(found), seed, held_out=held_out, phrasing=phrasing)
            Dataset.from_list([asdict(one) for one in found]).to_json(unfinished / f"{name}.jsonl")
            written[name] = len(found)
        card = {
            "about": "synthetic pairs of codes and sentence templates; no patient has any part in them",
            "seed": seed,
            "style": phrasing.name,
            "language": phrasing.language,
            "phrasing": phrasing.fingerprint(),
            "split": "by combination of codes",
            **written,
            **({} if site is None else {"site": site, "synthetic": True}),
        }
        write_json(unfinished / CARD_FILE, card)
    return written


def read_corpus(folder: Path, name: Literal["train", "test"]) -> list[Example]:
    """Read one file of a corpus.

    Raises:
        InputError: The file is missing or holds something else.
    """
    path = folder / f"{name}.jsonl"
    lines = read_text(path).splitlines()
    try:
        rows = [json.loads(line) for line in lines]
        return [
            Example(
                tuple(row["codes"]),
                tuple(row["placeholders"]),
                str(row["answer"]),
                row["language"],
                str(row.get("patient") or ""),
            )
            for row in rows
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "holds no pairs of codes and sentences", where=str(path), remedy="make it with: fedpsma report corpus"
        ) from error


def _requests(exam: Exam) -> list[SentenceRequest]:
    plan = plan_report(build_case(exam, assess(exam)))
    return [one.request for section in plan for one in section.sentences if one.request is not None]


def _evenly(rng: np.random.Generator, held_out: bool) -> Iterator[tuple[str, ...]]:
    by_class: dict[str, list[tuple[str, ...]]] = {}
    for codes in combinations():
        if is_held_out(codes) == held_out:
            by_class.setdefault(next(code for code in codes if code.startswith("class:")), []).append(codes)
    orders = [itertools.cycle(rng.permutation(len(group)).tolist()) for group in by_class.values()]
    while True:
        for group, order in zip(by_class.values(), orders, strict=True):
            yield group[next(order)]


def _example(codes: tuple[str, ...], phrasing: Phrasing, rng: np.random.Generator) -> Example:
    values = dict(code.split(":", 1) for code in codes)
    placeholders = _placeholders(values, phrasing, rng)
    return Example(codes, placeholders, compose(phrasing, values, placeholders, Drawn(rng)), phrasing.language)


def _placeholders(values: dict[str, str], phrasing: Phrasing, rng: np.random.Generator) -> tuple[str, ...]:
    comparable = values["change"] in phrasing.clauses_with_prior
    suvmax, size, prior, category = rng.random(4) < (_WITH_SUVMAX, _WITH_SIZE, _WITH_PRIOR_VALUE, _WITH_CATEGORY)
    wanted = {
        "site": True,
        "size": size,
        "suvmax": suvmax,
        "prior_suvmax": suvmax and prior and comparable,
        "category": category and values["class"] != "undetermined",
    }
    return tuple(name for name in placeholder_order() if wanted[name])
