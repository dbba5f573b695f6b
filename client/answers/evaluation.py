"""What a site tells of a model on its own patients, in two exchanges: sums first, then the spread of the rankings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from client.answers.releases import release
from fedpsma.errors import InputError
from fedpsma.evaluation.origins import on_uncontoured_lesion
from fedpsma.evaluation.readers import NetworkReader
from fedpsma.evaluation.run import KEPT_FOLDER, plan, read_all
from fedpsma.evaluation.sample import Sample
from fedpsma.evaluation.truth import read_truth
from fedpsma.federated.calibration import SiteScores, judge_digest, site_scores
from fedpsma.federated.evaluation import SiteEvaluation, site_evaluation
from fedpsma.federated.exchange import RankingAsked, SpreadTold
from fedpsma.federated.ranking import influence_of
from fedpsma.io.dataset import Dataset
from fedpsma.lesions.judge import Judge
from fedpsma.model.checkpoint import load_network
from fedpsma.model.inference import predict
from fedpsma.training.calibration import known_foci

EVALUATION_FOLDER = "evaluation"

OnReading = Callable[[], None]


def evaluation_of(
    dataset: Dataset, state: Path, model: Path | None, on_reading: OnReading | None = None
) -> SiteEvaluation:
    """Return the sums a site tells of a model; studies that were read before are not read again.

    Args:
        dataset: Patients with lesion masks that the model was not trained on.
        state: Folder of the site's own state.
        model: Checkpoint, ``None`` for the base checkpoint.
        on_reading: Called after each study.

    Raises:
        InputError: A study has no mask, the checkpoint is broken, or what was told before cannot be read.
    """
    reader = NetworkReader.load(model)

    def make() -> SiteEvaluation:
        return site_evaluation(
            _sample(dataset, state, reader, on_reading),
            site=dataset.info.site,
            contour=dataset.info.contour,
            model_sha256=reader.card.sha256,
            synthetic=dataset.info.synthetic,
        )

    return release(state, f"evaluation_{reader.card.sha256[:16]}", dataset, SiteEvaluation, make)


def ranking_spread_of(
    dataset: Dataset, state: Path, model: Path | None, asked: RankingAsked, on_reading: OnReading | None = None
) -> SpreadTold:
    """Return the second answer: how much the site's patients move the rankings of all sites together.

    Asked about many rankings of the same model, a site would tell more and more of single patients; so it answers one.

    Raises:
        InputError: The ranking is of another model, or broken.
    """
    reader = NetworkReader.load(model)
    if asked.model_sha256 != reader.card.sha256:
        raise InputError("belongs to another model", where="the ranking", remedy="name the model that was evaluated")

    def make() -> SpreadTold:
        influence = influence_of(_sample(dataset, state, reader, on_reading), asked.ranking())
        return SpreadTold(site=dataset.info.site, asked=asked.digest, influence=influence)

    return release(state, f"spread_{reader.card.sha256[:16]}", dataset, SpreadTold, make)


def scores_of(
    dataset: Dataset, state: Path, model: Path | None, judge: Judge, on_reading: OnReading | None = None
) -> SiteScores:
    """Return the histograms of the judge's scores on a site's patients."""

    def make() -> SiteScores:
        net, foci = load_network(model), []
        for row in dataset.rows:
            study = dataset.load(row)
            unsure = on_uncontoured_lesion(read_truth(dataset.folder, row.id).foci or (), study)
            foci += known_foci(study, predict(net, study), unsure)
            if on_reading is not None:
                on_reading()
        return site_scores(dataset.info.site, judge, foci)

    return release(state, f"scores_{judge_digest(judge)[:16]}", dataset, SiteScores, make)


def _sample(dataset: Dataset, state: Path, reader: NetworkReader, on_reading: OnReading | None) -> Sample:
    (scores,) = read_all(plan([dataset]), [reader], state / EVALUATION_FOLDER / KEPT_FOLDER, on_reading)
    return Sample.of(scores)
