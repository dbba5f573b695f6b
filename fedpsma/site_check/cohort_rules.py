"""What can be wrong with a data set as a whole, which no study shows by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fedpsma.io.dataset import DatasetInfo
from fedpsma.site_check.contours import outline_habit
from fedpsma.site_check.duplicates import similar_pairs
from fedpsma.site_check.limits import limits
from fedpsma.site_check.problems import DATASET_FILE, STUDIES_FILE, CheckedStudy, Code, Problem, Severity

_SHOWN = 5
Studies = Sequence[CheckedStudy]


def cohort_problems(info: DatasetInfo, studies: Studies) -> list[Problem]:
    """Return every problem that concerns more than one study, or the data set as a whole."""
    rules = (_patients, _lesions, _duplicates, _outliers, _dates, _scanners, _follow_up, _without_ct)
    return [*(problem for rule in rules for problem in rule(studies)), *_contours(info, studies)]


def _whole(severity: Severity, code: Code, file: str, what: str, remedy: str) -> Problem:
    return Problem(severity=severity, code=code, file=file, study=None, what=what, remedy=remedy)


def _of_study(study: CheckedStudy, severity: Severity, code: Code, text: tuple[str, str, str]) -> Problem:
    file, what, remedy = text
    return Problem(severity=severity, code=code, file=file, study=study.row.id, what=what, remedy=remedy)


def _patients(studies: Studies) -> Iterator[Problem]:
    count, least = len({study.row.patient for study in studies}), round(limits().rules.least_patients.value)
    if count < least:
        what = f"has {count} patients; training needs {least}, or privacy costs more than the model gains"
        yield _whole("error", "few_patients", STUDIES_FILE, what, "add patients")


def _lesions(studies: Studies) -> Iterator[Problem]:
    masks = [study.facts.mask for study in studies if study.facts.mask is not None]
    if masks and not any(mask.lesions for mask in masks):
        yield _whole(
            "error", "no_lesion", STUDIES_FILE, "has no lesion in any mask", "check that the masks are the right ones"
        )


def _duplicates(studies: Studies) -> Iterator[Problem]:
    same_pet = list(_groups(studies, lambda one: None if one.facts.pet is None else one.facts.pet.digest))
    for group in same_pet:
        yield from _same(group, "PET", "same_pet", lambda one: one.row.pet)
    known = [{one.row.id for one in group} for group in same_pet]
    for group in _groups(studies, lambda one: None if one.facts.ct is None else one.facts.ct.digest):
        if not any({one.row.id for one in group} <= ids for ids in known):
            yield from _same(group, "CT", "same_ct", lambda one: one.row.ct or "")
    yield from _similar(studies, known)


def _groups(studies: Studies, key: Callable[[CheckedStudy], str | None]) -> Iterator[list[CheckedStudy]]:
    groups: dict[str, list[CheckedStudy]] = defaultdict(list)
    for study in studies:
        digest = key(study)
        if digest is not None:
            groups[digest].append(study)
    yield from (group for group in groups.values() if len(group) > 1)


def _same(group: list[CheckedStudy], kind: str, code: Code, file: Callable[[CheckedStudy], str]) -> Iterator[Problem]:
    """Report every study of a group that repeats the first; under another patient it breaks the unit of privacy."""
    first = group[0]
    for study in group[1:]:
        if study.row.patient != first.row.patient:
            what = (
                f"is the {kind} of study {first.row.id} of patient {first.row.patient}, here under {study.row.patient}"
            )
            remedy = "find out whose it is; if they are one patient, give both lines the same pseudonym and keep one"
            yield _of_study(study, "error", code, (file(study), what, remedy))
        elif kind == "PET":
            what = f"is the same PET as that of study {first.row.id}, so the study is there twice"
            yield _of_study(study, "error", "same_study", (file(study), what, "take one of the two lines out"))


def _similar(studies: Studies, known: list[set[str]]) -> Iterator[Problem]:
    readable = [study for study in studies if study.facts.pet is not None]
    profiles = [
        np.array(study.facts.pet.fingerprint, np.float32).reshape(-1, 4)
        for study in readable
        if study.facts.pet is not None
    ]
    for pair in similar_pairs(profiles, limits().rules.similar_from.value):
        first, study = readable[pair.first], readable[pair.second]
        if first.row.patient == study.row.patient or any({first.row.id, study.row.id} <= ids for ids in known):
            continue
        what = (
            f"looks like the PET of study {first.row.id} of patient {first.row.patient}, cut, resampled or rescaled "
            f"(correlation {pair.correlation:.3f})"
        )
        remedy = "compare the two; if they are one patient, give both lines the same pseudonym"
        yield _of_study(study, "warning", "similar_pet", (study.row.pet, what, remedy))


def _contours(info: DatasetInfo, studies: Studies) -> Iterator[Problem]:
    habit = outline_habit(studies)
    if habit is None or habit.agrees_with(info.contour):
        return
    looks = "no fixed or relative threshold" if habit.suggested is None else habit.suggested
    what = (
        f"declares contour {info.contour}, but the outlines of {habit.lesions} lesions run at SUV {habit.edge_suv:.1f} "
        f"and {habit.fraction:.0%} of SUVmax (medians), which fits {looks}"
    )
    yield _whole(
        "warning", "contour_differs", DATASET_FILE, what, "ask the readers how they outlined, and declare that"
    )


def _outliers(studies: Studies) -> Iterator[Problem]:
    measured = [(study, study.facts.mask) for study in studies if study.facts.mask is not None]
    least = limits().rules.outlier_z.value
    counts = np.log1p([len(mask.lesions) for _, mask in measured])
    for (study, mask), z in zip(measured, robust_z(counts), strict=True):
        if abs(z) > least:
            what = f"holds {len(mask.lesions)} lesions, far from the others (robust z {z:+.1f} on the logarithm)"
            text = (study.row.mask or "", what, "check that touching lesions and noise are numbered as meant")
            yield _of_study(study, "warning", "lesion_count_outlier", text)
    filled = [(study, mask) for study, mask in measured if mask.lesions]
    volumes = np.log([mask.volume_ml for _, mask in filled])
    for (study, mask), z in zip(filled, robust_z(volumes), strict=True):
        if abs(z) > least:
            what = f"outlines {mask.volume_ml:.3g} ml, far from the others (robust z {z:+.1f} on the logarithm)"
            text = (study.row.mask or "", what, "check that it holds all lesions and no normal organ")
            yield _of_study(study, "warning", "lesion_volume_outlier", text)


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (value - median) / (1.4826 MAD); zeros where there are too few values or they do not spread.

    Example:
        >>> robust_z(np.array([1.0, 2.0, 3.0] * 4 + [30.0]))[-1].round(1)
        np.float64(18.9)
    """
    zeros = np.zeros(len(values))
    if len(values) < limits().rules.outlier_from.value:
        return zeros
    apart = values - np.median(values)
    spread = 1.4826 * float(np.median(np.abs(apart)))
    return np.asarray(apart / spread) if spread > 0 else zeros


def _dates(studies: Studies) -> Iterator[Problem]:
    counts = Counter(study.row.patient for study in studies)
    missing = [study for study in studies if study.row.date is None]
    for study in missing:
        if counts[study.row.patient] > 1:
            what = f"has no date, though patient {study.row.patient} has several studies: their order is unknown"
            yield _of_study(study, "warning", "date_missing", (study.where, what, "write the date, shifted if need be"))
    alone = sum(counts[study.row.patient] == 1 for study in missing)
    if alone:
        yield _whole("note", "date_missing", STUDIES_FILE, f"{alone} studies have no date", "nothing needed")


def _scanners(studies: Studies) -> Iterator[Problem]:
    names = sorted({study.row.scanner for study in studies if study.row.scanner is not None})
    unknown = sum(study.row.scanner is None for study in studies)
    if len(names) > 1:
        what = f"the studies come from {len(names)} scanners: {_some(names)}"
        yield _whole("note", "several_scanners", STUDIES_FILE, what, "compare liver and voxel size between them below")
    if unknown:
        yield _whole("note", "scanner_unknown", STUDIES_FILE, f"{unknown} studies name no scanner", "nothing needed")


def _follow_up(studies: Studies) -> Iterator[Problem]:
    counts = Counter(study.row.patient for study in studies)
    several = sorted(patient for patient, count in counts.items() if count > 1)
    if several:
        what = (
            f"{len(several)} patients have several studies: {_some(several)}; privacy counts the patient, not the study"
        )
        yield _whole("note", "follow_up", STUDIES_FILE, what, "nothing needed")


def _without_ct(studies: Studies) -> Iterator[Problem]:
    without = sum(study.row.ct is None for study in studies)
    if without:
        what = f"{without} of {len(studies)} studies have no CT"
        yield _whole("note", "without_ct", STUDIES_FILE, what, "nothing needed: the model reads a PET alone too")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
