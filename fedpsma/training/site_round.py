"""One round of training at one site."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedpsma.contract import SiteReport, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset
from fedpsma.model.checkpoint import Weights, apply_weights, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.losses import dense_loss
from fedpsma.model.network import LesionNet
from fedpsma.training.accounting import PrivacySpend, epsilon_of, sample_rate, spend_of_round
from fedpsma.training.dp import (
    PrivateStep,
    descend,
    draw_patients,
    flat_gradient,
    private_gradient,
    select_parameters,
)
from fedpsma.training.patches import cut_patches, draw_patches
from fedpsma.training.randomness import Randomness, generator_of, randomness_of
from fedpsma.training.sources import SourceCache
from fedpsma.training.steering import Steering
from fedpsma.training.supervised.device import moved

# A site trains many rounds in one process; what it read once stays.
_CACHE = SourceCache()


@dataclass(frozen=True)
class RoundResult:
    """What a round gives: the new weights, the report beside them, and what the round cost in privacy."""

    weights: Weights
    report: SiteReport
    spend: PrivacySpend | None


@dataclass(frozen=True)
class _Site:
    """Everything a step needs."""

    dataset: Dataset
    plan: TrainingPlan
    net: LesionNet
    parameters: list[nn.Parameter]
    steering: Steering
    generator: torch.Generator
    randomness: Randomness

    @property
    def device(self) -> torch.device:
        return self.parameters[0].device

    @property
    def rate(self) -> float:
        return sample_rate(self.plan, len(self.dataset.patients))

    @property
    def expected_patients(self) -> float:
        return self.rate * len(self.dataset.patients)

    @property
    def size(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters)


def train_round(
    weights: Weights,
    dataset: Dataset,
    plan: TrainingPlan,
    round_number: int,
    site: str,
    history: Sequence[PrivacySpend] = (),
    network: NetworkConfig | None = None,
    correction: Weights | None = None,
) -> RoundResult:
    """Train one round on a site's patients, starting from ``weights``.

    The same weights, data, plan (with a seed), site and round give bit-identical results. Adding
    :func:`fedpsma.training.accounting.spend_of_round` to a ledger before the call is the site's task; ``history`` is
    what was spent before this round.

    Args:
        weights: Global weights by parameter name.
        dataset: The site's data set; every study needs a lesion mask.
        plan: How to train.
        round_number: Which round, for seeds and the report.
        site: Name of the site, likewise.
        history: What the site has spent on the same patients before, over all runs.
        network: Architecture of the weights; ``None`` stands for the default one.
        correction: Control variates by parameter name, added to the gradient of every step.

    Raises:
        InputError: The weights are of another network, a study cannot be read, the patch does not fit the network, or
            delta is too large for so few patients.
        TrainingDivergedError: A loss or gradient is not finite.
    """
    started = time.monotonic()
    spend = spend_of_round(plan, len(dataset.patients))
    with _threads(plan.threads):
        generator = generator_of(plan.seed, site, round_number)
        here = _prepare(weights, dataset, plan, generator, network, correction)
        for _ in range(plan.steps_per_round):
            gradient = here.steering.added_to(_gradient(here, spend), here.parameters)
            descend(here.parameters, gradient, plan.learning_rate)
    report = SiteReport(
        site=site,
        round=round_number,
        epsilon=None if spend is None else epsilon_of([*history, spend], plan.delta),
        delta=None if spend is None else plan.delta,
        noise_multiplier=None if spend is None else spend.noise_multiplier,
        steps=plan.steps_per_round,
        seconds=time.monotonic() - started,
    )
    return RoundResult(weights_of(here.net), report, spend)


def _prepare(
    weights: Weights,
    dataset: Dataset,
    plan: TrainingPlan,
    generator: torch.Generator,
    network: NetworkConfig | None,
    correction: Weights | None,
) -> _Site:
    config = network or NetworkConfig()
    if plan.patch_voxels % config.stride:
        raise InputError(
            f"{plan.patch_voxels} is not a multiple of {config.stride}",
            where="patch_voxels",
            remedy=f"use a multiple of {config.stride}",
        )
    net = LesionNet(config).to(training_device(plan))
    apply_weights(net, weights)
    chosen = select_parameters(net, plan.scope)
    steering = Steering.of(chosen, plan.proximal_mu, correction)
    randomness = randomness_of(plan.seed, generator)
    return _Site(dataset, plan, net.train(), list(chosen.values()), steering, generator, randomness)


def _gradient(here: _Site, spend: PrivacySpend | None) -> Tensor:
    patients = here.dataset.patients
    drawn = draw_patients(len(patients), here.rate, here.randomness)
    gradients = [_patient_gradient(here, patients[index]) for index in drawn]
    noise = 0.0 if spend is None else spend.noise_multiplier
    step = PrivateStep(here.plan.clip_norm, noise, here.expected_patients)
    return private_gradient(gradients, here.size, step, here.randomness)


def _patient_gradient(here: _Site, patient: str) -> Callable[[], Tensor]:
    def compute() -> Tensor:
        plan = here.plan
        sources = _CACHE.of_patient(here.dataset, patient, here.net.config, plan.contours)
        drawn = draw_patches(sources, plan.patches_per_patient, plan.patch_voxels, here.generator)
        batch = moved(cut_patches(drawn, plan.patch_voxels), here.device)
        loss = dense_loss(here.net(batch.image, batch.tracer), batch.targets)
        return flat_gradient(loss, here.parameters)

    return compute


def training_device(plan: TrainingPlan) -> torch.device:
    """Return the device of a plan, with the site's share of its memory set aside.

    Raises:
        InputError: The plan asks for a GPU and there is none.
    """
    if plan.device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError("no CUDA device is available", where="plan.device", remedy='use device = "cpu"')
    torch.cuda.set_per_process_memory_fraction(plan.gpu_share)
    return torch.device("cuda")


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
