"""One round of training at one site."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn

from fedpsma.contract import SiteReport, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset
from fedpsma.model.checkpoint import Weights, apply_weights, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.losses import dense_loss
from fedpsma.model.network import LesionNet
from fedpsma.training.accounting import epsilon_of, spend_of_round
from fedpsma.training.charge import Charge
from fedpsma.training.dp import select_parameters
from fedpsma.training.gradients.choice import GradientChoice, choose_gradients
from fedpsma.training.gradients.engine import Block, Trainee
from fedpsma.training.interruption import raise_if_stopped
from fedpsma.training.patches import PatchBatch, cross_section, cut_patches, draw_patches, edges
from fedpsma.training.private_round import PrivateRound, limited_threads, training_device
from fedpsma.training.randomness import generator_of, integer_below, randomness_of
from fedpsma.training.readiness import check_trainable
from fedpsma.training.sources import SourceCache
from fedpsma.training.supervised.device import moved

# A site trains many rounds in one process; what it read once stays.
_CACHE = SourceCache()
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RoundResult:
    """What a round gives: the new weights, the report beside them, and what the round cost in privacy.

    ``gradients`` tells which way to the patients' gradients was used, and why. ``clip_norm`` is the bound after the
    last step, which adaptive clipping moved.
    """

    weights: Weights
    report: SiteReport
    spend: Charge | None
    gradients: GradientChoice
    clip_norm: float


@dataclass(frozen=True)
class _Site:
    """Everything a step needs."""

    dataset: Dataset
    plan: TrainingPlan
    net: LesionNet
    gradients: GradientChoice
    generator: torch.Generator
    steps: PrivateRound

    @property
    def parameters(self) -> list[nn.Parameter]:
        return list(self.steps.parameters.values())

    @property
    def device(self) -> torch.device:
        return self.parameters[0].device


def train_round(
    weights: Weights,
    dataset: Dataset,
    plan: TrainingPlan,
    round_number: int,
    site: str,
    history: Sequence[Charge] = (),
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
        InputError: The weights are of another network, a study cannot be read, the patch does not fit the network,
            delta is too large for so few patients, or a layer mixes patients or cannot be trained.
        TrainingDivergedError: A gradient is not finite, in a plan without privacy.
        TrainingStoppedError: Somebody asked it to stop (:mod:`fedpsma.training.interruption`).
    """
    started = time.monotonic()
    spend = spend_of_round(plan, len(dataset.patients))
    with limited_threads(plan.threads):
        generator = generator_of(plan.seed, site, round_number)
        net = _network(weights, plan, network or NetworkConfig())
        steps = PrivateRound(
            plan=plan,
            parameters=select_parameters(net, plan.scope),
            patients=len(dataset.patients),
            charge=spend,
            randomness=randomness_of(plan.seed, generator),
            number=round_number,
            correction=correction,
        )
        gradients = _gradients_by_trial(net, plan, steps.expected_patients)
        here = _Site(dataset, plan, net, gradients, generator, steps)
        clip_norm = steps.run(lambda drawn: _gradients(here, drawn))
    report = SiteReport(
        site=site,
        round=round_number,
        epsilon=None if spend is None else epsilon_of([*history, spend], plan.delta),
        delta=None if spend is None else plan.delta,
        noise_multiplier=None if spend is None else spend.noise_multiplier,
        steps=plan.steps_per_round,
        seconds=time.monotonic() - started if spend is None else None,
    )
    return RoundResult(weights_of(net), report, spend, gradients, clip_norm)


def _gradients_by_trial(net: LesionNet, plan: TrainingPlan, patients: float) -> GradientChoice:
    # The bound is a site's own in every round, and the way does not depend on it.
    return _way_to_gradients(LesionNet, net.config, plan.model_copy(update={"clip_norm": 1.0}), patients)


def _network(weights: Weights, plan: TrainingPlan, config: NetworkConfig) -> LesionNet:
    if plan.patch_voxels % config.stride:
        raise InputError(
            f"{plan.patch_voxels} is not a multiple of {config.stride}",
            where="patch_voxels",
            remedy=f"use a multiple of {config.stride}",
        )
    net = LesionNet(config).to(training_device(plan))
    apply_weights(net, weights)
    return net.train()


@lru_cache(maxsize=16)
def _way_to_gradients(
    kind: type[LesionNet], config: NetworkConfig, plan: TrainingPlan, expected_patients: float
) -> GradientChoice:
    """Try a network of this kind once in the life of the process: no patient is needed for it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = kind(config).to(training_device(plan))
    tracers = len(config.tracers)
    check_trainable(net, plan, tracers=tracers, edge=min(plan.patch_voxels, 2 * config.stride))
    parameters = list(select_parameters(net, plan.scope).values())
    choice = choose_gradients(Trainee(net, parameters, dense_loss), plan, expected_patients, tracers=tracers)
    _LOG.info("%s, %d patients at once: %s", choice.method, choice.patients_at_once, choice.reason)
    return choice


def _gradients(here: _Site, drawn: Sequence[int]) -> Iterator[Block]:
    batches = (_patches(here, here.dataset.patients[index]) for index in drawn)
    trainee = Trainee(here.net, here.parameters, dense_loss)
    groups = _in_groups(batches, here.gradients.patients_at_once, here.plan.patch_voxels)
    return (here.gradients.engine(trainee, group) for group in groups)


def _patches(here: _Site, patient: str) -> PatchBatch:
    """Return what a patient shows in his turn: some cubes, or one slab over his whole cross-section."""
    raise_if_stopped()
    plan, config = here.plan, here.net.config
    sources = _CACHE.of_patient(here.dataset, patient, config, plan.contours)
    count, edge = plan.patches_per_patient, edges(plan.patch_voxels)
    if float(torch.rand((), generator=here.generator)) < plan.slab_share:
        sources = [sources[integer_below(len(sources), here.generator)]]
        count, edge = 1, cross_section(sources[0].study, plan.patch_voxels, config.stride)
    draws = draw_patches(sources, count, edge, here.generator)
    return moved(cut_patches(draws, edge), here.device)


def _in_groups(batches: Iterable[PatchBatch], size: int, edge: int) -> Iterator[list[PatchBatch]]:
    """Gather patients with cubes; a slab fits to no other patient's and goes alone."""
    cubes: list[PatchBatch] = []
    for batch in batches:
        if batch.image.shape[-3:] != edges(edge):
            yield [batch]
            continue
        cubes.append(batch)
        if len(cubes) == size:
            yield cubes
            cubes = []
    if cubes:
        yield cubes
