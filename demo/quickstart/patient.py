"""Steps 5 to 7: one held-out patient from images to draft report."""

from __future__ import annotations

import time
from pathlib import Path

from demo.quickstart.chain import Workplace
from demo.quickstart.places import federation, held_out_data, patient, report
from fedpsma.domain.exam import Exam
from fedpsma.io.dataset import Dataset, StudyRow, read_dataset
from fedpsma.io.exam_file import read_exam, write_record
from fedpsma.io.files import read_json

EXAM = "exam.json"
ASSESSMENT = "assessment.json"
MOST_LESIONS = 12


def analyze_patient(place: Workplace) -> str:
    """Find and measure the lesions of the held-out patient with the most of them, up to a readable number."""
    from fedpsma.analysis import AnalysisOptions, analyze, judge_beside
    from fedpsma.analysis_folder import write_analysis
    from fedpsma.lesions.candidates import CandidateOptions
    from fedpsma.model.checkpoint import load_checkpoint, load_network
    from server.run_folder import RunFolder

    data, row = _choose(place)
    known = _referral(data, row)
    model = RunFolder(federation(place)).model_path
    options = AnalysisOptions(
        candidates=CandidateOptions(contour=data.info.contour, judge=judge_beside(None)),
        prostate_status=known.clinical.prostate_status,
    )
    study, started = data.load(row), time.monotonic()
    with place.bar() as bar:
        task = bar.add_task("looking for lesions", total=None)
        found = analyze(
            study, load_network(model), options, lambda done, total: bar.update(task, completed=done, total=total)
        )
    seconds = {"network and measuring": time.monotonic() - started}
    write_analysis(patient(place), study, found, load_checkpoint(model).card, synthetic=True, seconds=seconds)
    exam = found.exam.model_copy(update={"indication": known.indication, "clinical": known.clinical})
    write_record(patient(place) / EXAM, exam)
    return f"patient {row.id} of site {data.info.site}: {len(exam.lesions)} foci in the table"


def stage_patient(place: Workplace) -> str:
    """Stage the patient by rules."""
    from fedpsma.staging import assess

    assessment = assess(read_exam(patient(place) / EXAM))
    write_record(patient(place) / ASSESSMENT, assessment)
    decisions = len(assessment.trace)
    return f"{assessment.mitnm_string}, from {decisions} traced decisions; no clinician has reviewed the rules yet"


def draft_patient(place: Workplace) -> str:
    """Draft the report; the templates word it where no language model is installed."""
    from fedpsma.staging import assess
    from reporting.backend import choose_backend
    from reporting.drafting import draft_report
    from reporting.report_folder import write_report

    exam = read_exam(patient(place) / EXAM)
    with place.console.status("wording the report"):
        backend = choose_backend("auto", exam.language)
        draft = draft_report(exam, assess(exam), backend.writer, origin=backend.origin)
    write_report(report(place), exam, draft)
    failed = [check.name for check in draft.verification.checks if not check.passed]
    verdict = "all checks passed" if not failed else f"checks FAILED: {', '.join(failed)}"
    counts = ", ".join(f"{count} by {origin}" for origin, count in draft.provenance.sentences_by_origin.items())
    return f"sentences: {counts}; {verdict}; worded by {backend.why}"


def _choose(place: Workplace) -> tuple[Dataset, StudyRow]:
    """Return the held-out study with the most true lesions that still fit a page."""
    datasets = [read_dataset(held_out_data(place, site)) for site in place.config.sites]
    lesions = {(data, row): len(_referral(data, row).lesions) for data in datasets for row in data.rows}
    readable = {study: count for study, count in lesions.items() if count <= MOST_LESIONS}
    return (
        max(readable, key=lambda study: readable[study]) if readable else min(lesions, key=lambda study: lesions[study])
    )


def _referral(data: Dataset, row: StudyRow) -> Exam:
    """Read what the referring physician knows of a synthetic patient, and what is true of him."""
    path: Path = data.folder / "truth" / f"{row.id}.json"
    return Exam.model_validate(read_json(path)["exam"])
