"""Whether a simulation can be carried out, before anything of it is written and anybody trains."""

from __future__ import annotations

from collections.abc import Sequence

from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import Checkpoint
from server.simulation.config import SimulationConfig
from server.simulation.dealing import Share


def require_feasible(config: SimulationConfig, shares: Sequence[Share], initial: Checkpoint) -> None:
    """Raise InputError where the plan cannot be carried out with these sites, this start or this machine."""
    config.subject.require(initial.card.network, where=str(config.init or "the base checkpoint"))
    plan = config.full_plan
    config.strategy.require_hideable(plan.secure_aggregation)
    least = max(plan.min_sites, config.strategy.least_updates)
    if len(shares) < least:
        what = f"{len(shares)} given, the plan with {config.strategy.name} needs {least}"
        raise InputError(what, where="data sets", remedy="give more data sets")
    config.participation.require_enough(least, config.strategy.name)
    for share in shares:
        _require_small_delta(plan, share)
    unknown = set(config.attack.sites if config.attack else ()) - {share.name for share in shares}
    if unknown:
        raise InputError(f"{min(unknown)!r} is no site", where="attack.sites", remedy="name sites of the federation")
    _require_account(config, shares)
    _require_device(plan)


def _require_small_delta(plan: TrainingPlan, share: Share) -> None:
    patients = len(share.training)
    if plan.target_epsilon is not None and plan.delta * patients >= 1:
        raise InputError(
            f"{plan.delta:g} is not below one over the {patients} patients of {share.name}",
            where="delta",
            remedy=f"give less than {1 / patients:.2g}",
        )


def _require_account(config: SimulationConfig, shares: Sequence[Share]) -> None:
    """Refuse what no ledger beside the data could count: sites of real patients out of several data sets."""
    if len(config.datasets) > 1 and any(share.of_pool and not share.source.synthetic for share in shares):
        what = "deals out real patients of several data sets, and what they pay could be written beside none of them"
        raise InputError(what, where="partition", remedy="import them into one data set first")


def _require_device(plan: TrainingPlan) -> None:
    if plan.device == "cpu":
        return
    import torch

    if not torch.cuda.is_available():
        raise InputError("no CUDA device is available", where="plan.device", remedy="set device=cpu")
