"""The model card of what a federation trained: who took part, how often, and what it cost their patients."""

from __future__ import annotations

from fedpsma import __version__
from fedpsma.contract import Federation, TrainingPlan
from fedpsma.model.checkpoint import ModelCard
from server.run_folder import RoundState, RunRules


def federated_card(
    initial: ModelCard, plan: TrainingPlan, federation: Federation, state: RoundState, rules: RunRules
) -> ModelCard:
    """Return the card of the weights after a round; ``epsilon`` is that of the site that spent most."""
    spent = [site.epsilon for site in state.sites.values() if site.epsilon is not None]
    return ModelCard(
        name=f"federated-{state.run}-round-{state.round}",
        data=_data(federation, state),
        recipe={
            "initial": {"name": initial.name, "sha256": initial.sha256, "epsilon": initial.epsilon},
            "plan": plan.model_dump(mode="json"),
            "rules": rules.model_dump(mode="json"),
            "rounds": state.round,
            "sites": {name: site.model_dump(mode="json") for name, site in sorted(state.sites.items())},
            "synthetic": synthetic(federation),
            "fedpsma": __version__,
        },
        metrics={},
        epsilon=max(spent, default=None),
        delta=plan.delta if spent else None,
        licence=initial.licence,
        network=initial.network,
    )


def synthetic(federation: Federation) -> bool | None:
    """Return whether all sites, or none, have phantom patients; ``None`` where they differ or it is not known."""
    kinds = {site.synthetic for site in federation.sites}
    return kinds.pop() if len(kinds) == 1 else None


def _data(federation: Federation, state: RoundState) -> str:
    kind = {True: "synthetic patients", False: "patients", None: "patients, synthetic or not is not known"}
    return f"{kind[synthetic(federation)]} of {', '.join(sorted(state.sites)) or 'no site'}"
