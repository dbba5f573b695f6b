"""Steps 2 to 4: the shared model, each site's own model, and what they find in held-out patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from demo.quickstart.chain import Workplace
from demo.quickstart.places import comparison_file, federation, held_out_data, training_data
from fedpsma.evaluation.compare import Case, ModelScores, compare, evaluate_model
from fedpsma.io.dataset import read_dataset
from fedpsma.io.exam_file import write_record
from server.display import progress_bar
from server.simulation import SimulationConfig, SimulationResult, simulate

STARTING_WEIGHTS = "starting weights"
SHARED_MODEL = "shared model"


def train_federation(place: Workplace) -> str:
    """Train the shared model over all sites."""
    result = _run(_config(place), place)
    spent = ", ".join(f"{one.site} {_epsilon(one.epsilon)}" for one in result.sites)
    return f"{result.rounds} rounds; epsilon spent at each site (delta {place.config.plan.delta:g}): {spent}"


def train_sites_alone(place: Workplace) -> str:
    """Train each site's own model with the same plan and the same privacy."""
    config = _config(place)
    for site in place.config.sites:
        _run(config.alone(training_data(place, site)), place)
    return f"{len(place.config.sites)} models, each from one site's patients only"


def compare_models(place: Workplace) -> str:
    """Score all models on the held-out patients of all sites."""
    models = _models(place)
    studies = len(place.config.sites) * place.config.held_out_patients
    with place.bar() as bar:
        task = bar.add_task("reading held-out patients", total=len(models) * studies)
        scores = [_score(name, path, epsilon, place, lambda _: bar.advance(task)) for name, path, epsilon in models]
    table = compare(scores, synthetic=True)
    write_record(comparison_file(place), table)
    place.console.print(table.markdown(), style="dim", soft_wrap=True)
    shared = next(row for row in table.rows if row.name == SHARED_MODEL)
    return f"synthetic: the shared model finds {shared.sensitivity['2']} of the lesions at 2 false positives a scan"


def _config(place: Workplace) -> SimulationConfig:
    datasets = tuple(training_data(place, site) for site in place.config.sites)
    return SimulationConfig(datasets=datasets, out=federation(place), plan=place.config.plan)


def _run(config: SimulationConfig, place: Workplace) -> SimulationResult:
    with progress_bar(place.console, config.plan.rounds) as on_event:
        return simulate(config, on_event)


def _models(place: Workplace) -> list[tuple[str, Path | None, float | None]]:
    """Name every model with its checkpoint and the largest privacy loss of a site that trained it.

    A finished simulation is not run again: asking for it returns what it left.
    """
    config = _config(place)
    shared = simulate(config)
    models: list[tuple[str, Path | None, float | None]] = [(STARTING_WEIGHTS, None, None)]
    for site in place.config.sites:
        alone = simulate(config.alone(training_data(place, site)))
        models.append((f"site {site} alone", alone.model, _largest(alone)))
    return [*models, (SHARED_MODEL, shared.model, _largest(shared))]


def _largest(result: SimulationResult) -> float | None:
    spent = [one.epsilon for one in result.sites if one.epsilon is not None]
    return max(spent) if spent else None


def _score(
    name: str, path: Path | None, epsilon: float | None, place: Workplace, on_study: Callable[[str], None]
) -> ModelScores:
    return evaluate_model(name, _cases(path, place), epsilon=epsilon, on_study=on_study)


def _cases(path: Path | None, place: Workplace) -> Iterator[Case]:
    from fedpsma.analysis import judge_beside
    from fedpsma.model.checkpoint import load_network
    from fedpsma.model.inference import predict

    # All models are judged alike, by the judge of the starting weights: none of the sites could afford its own.
    net, judge = load_network(path), judge_beside(None)
    for site in place.config.sites:
        data = read_dataset(held_out_data(place, site))
        for row in data.rows:
            study = data.load(row)
            yield Case(study, predict(net, study), data.info.contour, judge)


def _epsilon(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"
