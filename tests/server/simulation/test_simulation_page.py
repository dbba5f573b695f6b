"""The page: what it says, that it says synthetic, and that no text of the data becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tiny_trainer import tiny_config

from fedpsma.evaluation.bootstrap import Figure
from fedpsma.evaluation.detection import ScanDetections
from fedpsma.io.files import read_json
from fedpsma.pages.parts import UNKNOWN
from fedpsma.training.lesion_subject import LesionSubject
from fedpsma.training.subject import Figures
from fedpsma.training.validation import StudyScore
from server.simulation import SimulationConfig, simulate
from server.simulation.curves import Line, chart
from server.simulation.gains import site_gains
from server.simulation.judging import Judgement
from server.simulation.page import render_page, write_report
from server.simulation.report import ModelLine, RoundLine, SimulationReport, SiteLine, baselines, make_report


def _figures(value: float) -> Figures:
    figure = Figure(value=value, low=value - 0.1, high=value + 0.1)
    return Figures(patients=8, counted=20, average_precision=figure, patient_average_precision=figure, dice=figure)


def _judgement(value: float, names: tuple[str, ...]) -> Judgement:
    sites = {name: _figures(value - 0.01 * at) for at, name in enumerate(names)}
    return Judgement(key="k", together=_figures(value), sites=sites)


def _report(names: tuple[str, ...] = ("A", "B"), *, synthetic: bool | None = True, seed: int | None = 1):
    config = SimulationConfig(datasets=(Path("a"), Path("b")))
    settings = config.model_dump(mode="json")
    settings["plan"]["seed"] = seed
    models = {"starting weights": "start", "shared model": "shared", "pooled patients": "pooled"}
    values = {"starting weights": 0.2, "shared model": 0.6, "pooled patients": 0.62}
    lines = [ModelLine(name=n, kind=k, epsilon=None, judgement=_judgement(values[n], names)) for n, k in models.items()]
    lines += [
        ModelLine(name=f"{name} alone", kind="alone", epsilon=7.9, judgement=_judgement(0.5 + 0.02 * at, names))
        for at, name in enumerate(names)
    ]
    return SimulationReport(
        software="fedpsma",
        synthetic=synthetic,
        settings=settings,
        target_epsilon=8.0,
        delta=0.01,
        sites=tuple(
            SiteLine(
                name=name, patients=12, held_out=4, rounds=2, left_out={"too_long": 1}, epsilon=7.5, attacks="sign_flip"
            )
            for name in names
        ),
        rounds=tuple(
            RoundLine(round=n, seconds=2.0, epsilon=dict.fromkeys(names, 2.5 * n), judgement=_judgement(0.2 * n, names))
            for n in (1, 2, 3)
        ),
        models=tuple(lines),
        yardstick=LesionSubject.yardstick,
    )


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "path", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "circle"):
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)


def test_the_page_compares_and_says_synthetic_beside_the_numbers() -> None:
    page = render_page(_report())
    assert "Every patient is synthetic" in page
    assert "held-out synthetic patients" in page
    assert "+0.090</strong> against the mean of the sites alone" in page
    assert "+0.080 against the best" in page
    assert "-0.020 against training on the pooled" in page
    assert "Worst site: B, lesion AP 0.590" in page
    assert "not for release" in page
    assert "attacks: sign flip" in page
    assert "1 x too long" in page
    assert page.count("<svg") == 4
    tags = _Tags()
    tags.feed(page)
    assert not tags.open
    assert not re.search(r"(src|href)=|url\(", page), "the page opens without a network"


def _cells(page: str, row: str) -> list[str]:
    (found,) = re.findall(rf"<tr>(?:(?!</tr>).)*?<td[^>]*>{row}</td>.*?</tr>", page, flags=re.DOTALL)
    return [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", found, flags=re.DOTALL)]


def test_every_site_reads_what_it_gains_over_training_alone() -> None:
    gains = site_gains(_report())
    assert _cells(gains, "A")[:4] == ["A", "0.500", "0.600", "+0.100"]
    # Site B alone is judged on its own patients, not on all.
    assert _cells(gains, "B")[:4] == ["B", "0.510", "0.590", "+0.080"]
    assert "nothing kept" not in gains


def test_a_personal_variant_is_set_against_the_same_federation_with_nothing_kept() -> None:
    report = _report()
    whole = ModelLine(name="same federation", kind="all shared", epsilon=8.0, judgement=_judgement(0.55, ("A", "B")))
    gains = site_gains(report.model_copy(update={"models": (*report.models, whole)}))
    assert _cells(gains, "B")[:6] == ["B", "0.510", "0.540", "0.590", "+0.080", "+0.050"]


def test_nothing_is_said_of_gains_where_nothing_was_compared() -> None:
    report = _report()
    assert "--compare" in site_gains(report.model_copy(update={"models": report.models[:2]}))
    assert "--compare" in site_gains(report.model_copy(update={"models": ()}))


def test_real_patients_are_not_called_synthetic_and_a_run_without_a_seed_not_repeatable() -> None:
    page = render_page(_report(synthetic=False, seed=None))
    assert "synthetic" not in page
    assert "not for release" not in page
    assert "may be synthetic" in render_page(_report(synthetic=None))


def test_a_site_without_a_figure_is_not_the_worst() -> None:
    report = _report()
    nothing = Figure(value=None, low=None, high=None)
    unknown = Figures(patients=2, counted=0, average_precision=nothing, patient_average_precision=nothing, dice=nothing)
    shared = report.models[1]
    judged = shared.judgement.model_copy(update={"sites": {**shared.judgement.sites, "B": unknown}})
    models = (report.models[0], shared.model_copy(update={"judgement": judged}), *report.models[2:])
    assert "Worst site: A, lesion AP 0.600" in render_page(report.model_copy(update={"models": models}))


def test_a_passed_budget_and_a_site_that_gave_nothing_are_told() -> None:
    report = _report()
    assert "No site passed its budget." in render_page(report)
    over, absent = report.sites[0].model_copy(update={"epsilon": 9.79}), report.sites[1]
    absent = absent.model_copy(update={"rounds": 0, "epsilon": None})
    page = render_page(report.model_copy(update={"sites": (over, absent)}))
    assert "Passed its budget: A (9.79)" in page
    assert "No site passed" not in page
    assert "<b>12</b><span>patients trained on" in page
    (row,) = re.findall(r"<tr>(?:(?!</tr>).)*?<td[^>]*>B <span.*?</tr>", page, flags=re.DOTALL)
    assert re.sub(r"<[^>]+>", "", re.findall(r"<td.*?</td>", row, flags=re.DOTALL)[-1]) == UNKNOWN


def test_a_run_without_privacy_says_so() -> None:
    page = render_page(_report().model_copy(update={"target_epsilon": None}))
    assert "without differential privacy" in page


def test_names_never_become_markup() -> None:
    page = render_page(_report(names=("<script>alert(1)</script>", 'x" onload="y')))
    tags = _Tags()
    tags.feed(page)
    assert "script" not in tags.seen
    assert "<script>" not in page
    assert 'x" onload' not in page


def test_a_chart_places_its_points() -> None:
    drawn = chart("AP", [Line("A", [(1, 0.0), (3, 1.0)])], top=1.0, limit=0.5)
    path = re.search(r'<path d="M([\d. L]+)" stroke="#', drawn)
    assert path is not None
    (x0, y0), (x1, y1) = (tuple(map(float, place.split())) for place in path[1].split("L"))
    assert (x0, x1) == (44.0, 448.0)
    assert (y0, y1) == (246.0, 28.0)
    assert "budget 0.5" in drawn
    assert chart("AP", [Line("A", [])]) == ""


def test_a_finished_run_becomes_a_page_even_where_nobody_was_held_out(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    (tmp_path / "data_B" / "fault.txt").write_text("raises", "utf-8")
    simulate(config)
    report = make_report(config)
    assert [(site.name, site.rounds, site.left_out) for site in report.sites] == [
        ("C", 2, {}),
        ("A", 2, {}),
        ("B", 0, {"internal_error": 2}),
    ]
    assert [line.epsilon["A"] for line in report.rounds] == [2.0, 4.0]
    assert report.models == ()
    page = write_report(config.out, report)
    assert "No patient was held out" in page.read_text("utf-8")
    assert SimulationReport.model_validate(read_json(config.out / "simulation.json")) == report


def test_the_baselines_are_the_pool_and_each_site_with_the_same_plan(tmp_path: Path) -> None:
    config = SimulationConfig.model_validate(
        {**tiny_config(tmp_path).model_dump(), "compare": True, "attack": "sign_flip", "held_out": 0.25}
    )
    found = baselines(config)
    assert list(found) == ["pooled", "C", "A", "B"]
    assert found["pooled"].plan.patients_per_step == 3 * config.plan.patients_per_step
    assert found["A"].plan == config.plan.model_copy(update={"min_sites": 1})
    assert all(one.attack is None for one in found.values())
    assert [site.patients for site in simulate(found["pooled"]).sites] == [27]
    assert [site.patients for site in simulate(found["A"]).sites] == [9]


def _scored(patient: str, lesions: int, scores: list[float], hits: list[bool]) -> tuple[str, StudyScore]:
    detections = ScanDetections(
        np.array(scores), np.array(hits, dtype=bool), np.array([s for s, hit in zip(scores, hits, strict=True) if hit])
    )
    return patient, StudyScore(lesions, sum(hits), 0, 30, 50, 50 if lesions else 0, 0, 0, detections)


def test_figures_pool_lesions_and_average_dice_over_studies_with_lesions() -> None:
    found = LesionSubject().figures(
        [_scored("p", 1, [0.9], [True]), _scored("p", 1, [0.8, 0.95], [True, False]), _scored("q", 0, [], [])]
    )
    assert (found.patients, found.counted) == (2, 2)
    assert found.dice.value == pytest.approx(0.6)
    # Ranked: 0.95 wrong, 0.9 right, 0.8 right.
    assert found.average_precision.value == pytest.approx(0.5 * 1 / 2 + 0.5 * 2 / 3)


def test_a_patient_with_many_lesions_decides_the_pooled_figure_only() -> None:
    many, one = _scored("p", 9, [0.9] * 9, [True] * 9), _scored("q", 1, [0.95, 0.8], [False, True])
    found = LesionSubject().figures([many, one])
    # Ranked: one wrong of q, nine right of p, one right of q; by patient those of p weigh a ninth.
    assert found.average_precision.value == pytest.approx(0.9 * 9 / 10 + 0.1 * 10 / 11)
    assert found.patient_average_precision.value == pytest.approx(0.5 * 1 / 2 + 0.5 * 2 / 3)
