"""Step 8: ``index.html``, one page that opens without a network."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from demo.quickstart.chain import STATE_FILE, Workplace
from demo.quickstart.places import comparison_file, federation, held_out_data, patient, report, training_data
from fedpsma import __version__
from fedpsma.domain.assessment import Assessment
from fedpsma.evaluation.compare import Comparison, Figure
from fedpsma.io.dataset import read_dataset
from fedpsma.io.exam_file import read_exam
from fedpsma.io.files import read_json, write_text
from fedpsma.pages.parts import page
from fedpsma.phantom.sites import site_profile
from reporting.draft import Draft
from reporting.phrases import phrases
from server.simulation import SimulationConfig, simulate

FILES = (
    ("comparison.json", "the table of models, with intervals"),
    ("federation/events.jsonl", "every event of the federated run"),
    ("federation/plan.json", "how every site trained"),
    ("patient/exam.json", "the lesion table with the clinical context"),
    ("patient/lesions.nii.gz", "the numbered lesion mask, on the PET grid"),
    ("patient/lesions.csv", "the measurements, unrounded"),
    ("patient/key_images.png", "a slice through each lesion"),
    ("patient/assessment.json", "stage, scores and the whole trace"),
    ("report/draft.json", "the draft with the origin of every sentence"),
    ("report/draft.md", "the draft as text"),
)
LESION_TITLES = (
    "lesion",
    "region",
    "side",
    "SUVmax",
    "SUVmean",
    "SUVpeak",
    "volume (ml)",
    "probability",
    "PSMA-RADS",
    "CT",
)


def write_page(place: Workplace) -> str:
    """Fill the page from the files that the steps wrote."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    parts = resources.files(__package__)
    template = environment.from_string(parts.joinpath("page.html").read_text("utf-8"))
    content = {
        "sites": [_site(place, site) for site in place.config.sites],
        "federation": _federation(place),
        "comparison": _comparison(place),
        "patient": _patient(place),
        "stage": _stage(place),
        "draft": _draft(place),
        "files": [(path, meaning) for path, meaning in FILES if (place.folder / path).exists()],
        "footer": _footer(place),
    }
    style = parts.joinpath("page.css").read_text("utf-8")
    write_text(place.folder / "index.html", page("fedpsma quickstart", template.render(content), style))
    return "index.html"


def _site(place: Workplace, site: str) -> dict[str, Any]:
    profile = site_profile(site)
    tracers = ", ".join(f"{tracer} {share:.0%}" for tracer, share in profile.tracers.items())
    return {
        "name": site,
        "scanner": profile.name,
        "tracers": tracers,
        "voxel": " x ".join(f"{edge:g}" for edge in profile.spacing_mm),
        "contour": profile.contour,
        "training": len(read_dataset(training_data(place, site)).patients),
        "held_out": len(read_dataset(held_out_data(place, site)).patients),
    }


def _federation(place: Workplace) -> dict[str, Any]:
    plan = place.config.plan
    datasets = tuple(training_data(place, site) for site in place.config.sites)
    result = simulate(SimulationConfig(datasets=datasets, out=federation(place), plan=plan))
    budget = "none" if plan.target_epsilon is None else f"{plan.target_epsilon:g}"
    rows = [
        {
            "site": one.site,
            "epsilon": "none" if one.epsilon is None else f"{one.epsilon:.2f}",
            "budget": budget,
            "delta": f"{plan.delta:g}",
            "rounds": one.rounds,
        }
        for one in result.sites
    ]
    return {"rounds": result.rounds, "rows": rows}


def _comparison(place: Workplace) -> dict[str, Any]:
    table = Comparison.model_validate(read_json(comparison_file(place)))
    rates = list(table.rows[0].sensitivity)
    titles = ["model", *(f"sensitivity, {rate} FP/scan" for rate in rates), "Dice", "false-positive ml"]
    rows = [
        [
            (row.name, ""),
            *(_with_interval(row.sensitivity[rate]) for rate in rates),
            *map(_with_interval, (row.dice, row.false_positive_ml, row.false_negative_ml)),
            ("–" if row.epsilon is None else f"{row.epsilon:.2f}", ""),
        ]
        for row in table.rows
    ]
    return {
        "patients": table.patients,
        "lesions": table.lesions,
        "titles": [*titles, "false-negative ml", "epsilon"],
        "rows": rows,
    }


def _with_interval(figure: Figure) -> tuple[str, str]:
    value, _, interval = str(figure).partition(" (")
    return value, interval.removesuffix(")")


def _patient(place: Workplace) -> dict[str, Any]:
    exam, assessment = read_exam(patient(place) / "exam.json"), _assessment(place)
    summary = read_json(patient(place) / "analysis.json")
    rows = [
        [
            lesion.lesion_id,
            lesion.region.facts.name_en,
            lesion.side or "–",
            *(
                _cell(value)
                for value in (lesion.suvmax, lesion.suvmean, lesion.suvpeak, lesion.volume_ml, lesion.model_prob)
            ),
            assessment.psma_rads.get(lesion.lesion_id) or "–",
            lesion.ct_correlate or "–",
        ]
        for lesion in exam.lesions
    ]
    return {
        "title": f"Synthetic patient {summary['study']}, {exam.tracer}; {exam.indication}.",
        "mip": "patient/mip.png",
        "caption": "Maximum intensity projections, SUV 0 to 15; numbers as in the table.",
        "titles": LESION_TITLES,
        "rows": rows,
        "notes": summary["notes"],
    }


def _stage(place: Workplace) -> dict[str, Any]:
    assessment = _assessment(place)
    facts = [
        ("PSMA-RADS of the scan (proposal)", assessment.psma_rads_overall),
        (
            "Expression score, highest and lowest",
            f"{_cell(assessment.expression_highest)} and {_cell(assessment.expression_lowest)}",
        ),
        ("Reference organ of the score", assessment.expression_reference),
        ("Indeterminate lesions", ", ".join(one.lesion for one in assessment.indeterminate) or "none"),
    ]
    trace = [
        {
            "rule": entry.rule,
            "source": entry.source,
            "inputs": json.dumps(entry.inputs, ensure_ascii=False),
            "result": json.dumps(entry.result, ensure_ascii=False),
        }
        for entry in assessment.trace
    ]
    return {
        "mitnm": assessment.mitnm_string,
        "facts": [(name, "–" if value is None else value) for name, value in facts],
        "flags": [flag.message for flag in assessment.flags],
        "trace": trace,
    }


def _draft(place: Workplace) -> dict[str, Any]:
    draft = Draft.model_validate(read_json(report(place) / "draft.json"))
    words = phrases(draft.language)
    sections = [
        {"title": words.word("heading", section.name), "sentences": section.sentences} for section in draft.sections
    ]
    return {
        "provenance": f"Worded by {draft.provenance.writer}; rules {draft.provenance.rules_version}.",
        "sections": sections,
        "checks": draft.verification.checks,
    }


def _assessment(place: Workplace) -> Assessment:
    return Assessment.model_validate(read_json(patient(place) / "assessment.json"))


def _footer(place: Workplace) -> str:
    steps = read_json(place.folder / STATE_FILE)["steps"]
    times = ", ".join(f"{name} {done['seconds']:.0f} s" for name, done in steps.items())
    return f"fedpsma {__version__}, seed {place.config.seed}. Time of the steps: {times}."


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"
