"""What a site keeps for itself between the rounds of a run: own parameters, control variate, adaptive clipping bound.

All are found by private training, like the weights that are sent: the gradients that are sent depend on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from fedpsma.contract import CONTROL, KeptAtSite, TrainingPlan, within_clip_norms
from fedpsma.io.files import write_bytes
from fedpsma.model.checkpoint import Weights

OWN = "own/"
# The clipping bound beside the trained weights; no parameter has a slash in its name.
CLIP_NORM = "clip/norm"
_FILE = "round_{:04d}.safetensors"
_KEPT_ROUNDS = 2
# MONAI calls a normalisation "N" inside its block of activation, dropout and normalisation.
_NORMALISATION, _HEAD = ".N.", "voxel_head."


def kept_names(names: Iterable[str], kept: KeptAtSite) -> frozenset[str]:
    """Return the parameters that stay at a site.

    Example:
        >>> sorted(kept_names(["stem.conv.unit0.adn.N.weight", "voxel_head.bias"], "head"))
        ['voxel_head.bias']
    """
    if kept == "normalisation":
        return frozenset(name for name in names if _NORMALISATION in name)
    return frozenset(name for name in names if kept == "head" and name.startswith(_HEAD))


@dataclass(frozen=True)
class RoundMemory:
    """A folder with one file a round; the last rounds are kept, so that a round can be repeated from where it was.

    Of older rounds only the site's own parameters stay: they are few, and make its whole model of any round known.
    """

    folder: Path

    @classmethod
    def of_run(cls, state: Path, run: str) -> RoundMemory:
        """Return the memory of a run below a site's state folder."""
        # The name comes from the server, so it is no path.
        return cls(state / "runs" / hashlib.sha256(run.encode()).hexdigest()[:16])

    def before(self, round_number: int, counted: int | None = None) -> Weights:
        """Return what was kept after the last round before this one; empty where there was none.

        Args:
            round_number: The round that begins.
            counted: The last round in which the site's update counted. The control variate is the one kept then,
                since the common one, which is the mean of the sites', heard of no later one. ``None`` where nobody
                says, and then it is that of the last round.
        """
        rounds = [number for number in self._rounds() if number < round_number]
        last = self._load(max(rounds)) if rounds else {}
        if counted is None or not rounds or counted == max(rounds):
            return last
        heard = self._load(counted) if counted in rounds else {}
        return _of_control(last, False) | _of_control(heard, True)

    def keep(self, round_number: int, arrays: Weights, counted: int | None = None) -> None:
        """Keep arrays after a round, and still those of the one that ``counted``; without any, nothing is written."""
        if not arrays:
            return
        write_bytes(self.folder / _FILE.format(round_number), save(arrays))
        for number in self._rounds()[:-_KEPT_ROUNDS]:
            if number != counted:
                self._shrink(self.folder / _FILE.format(number))

    def _load(self, number: int) -> Weights:
        arrays: Weights = load((self.folder / _FILE.format(number)).read_bytes())
        return arrays

    def _shrink(self, path: Path) -> None:
        arrays = load(path.read_bytes())
        own = {name: array for name, array in arrays.items() if name.startswith(OWN)}
        if not own:
            path.unlink()
        elif len(own) < len(arrays):
            write_bytes(path, save(own))

    def _rounds(self) -> list[int]:
        return sorted(int(path.stem.removeprefix("round_")) for path in self.folder.glob("round_*.safetensors"))


def _of_control(arrays: Weights, wanted: bool) -> Weights:
    return {name: array for name, array in arrays.items() if name.startswith(CONTROL) == wanted}


def with_own(weights: Weights, memory: Weights, plan: TrainingPlan) -> Weights:
    """Return the weights with a site's own parameters in the places that the plan leaves to it."""
    own = kept_names(weights, plan.kept_at_site)
    return {name: memory.get(f"{OWN}{name}", array) if name in own else array for name, array in weights.items()}


def with_bound(trained: Weights, plan: TrainingPlan, clip_norm: float) -> Weights:
    """Return trained weights with the bound that adaptive clipping ended with, for the next round to go on from."""
    return {**trained, CLIP_NORM: np.array(clip_norm)} if plan.clipping == "adaptive" else trained


def at_bound(plan: TrainingPlan, memory: Weights) -> TrainingPlan:
    """Return the plan with the clipping bound that the round before ended with, where clipping is adaptive."""
    if plan.clipping != "adaptive" or CLIP_NORM not in memory:
        return plan
    return plan.model_copy(update={"clip_norm": within_clip_norms(float(memory[CLIP_NORM]))})


def split_control(arrays: Weights) -> tuple[Weights, Weights]:
    """Split what came from the server into weights and the common control variate."""
    weights = {name: array for name, array in arrays.items() if not name.startswith(CONTROL)}
    control = {name.removeprefix(CONTROL): array for name, array in arrays.items() if name.startswith(CONTROL)}
    return weights, control


def correction(control: Weights, memory: Weights) -> Weights | None:
    """Return the common control variate minus the site's own, which SCAFFOLD adds to every gradient."""
    if not control:
        return None
    return {name: array - memory.get(f"{CONTROL}{name}", np.float32(0)) for name, array in control.items()}


def own_control(before: Weights, after: Weights, steering: Weights, plan: TrainingPlan) -> Weights:
    """Return a site's control variate after a round: the mean gradient of its steps (SCAFFOLD, option II).

    Args:
        before: Weights at the start of the round.
        after: Weights at its end.
        steering: What :func:`correction` gave for the round.
        plan: Gives steps and learning rate.
    """
    pace = plan.steps_per_round * plan.learning_rate
    return {name: (before[name] - after[name]) / np.float32(pace) - steering[name] for name in steering}


def to_keep(plan: TrainingPlan, start: Weights, trained: Weights, steering: Weights | None) -> Weights:
    """Return what a site keeps after a round, to be given to :meth:`RoundMemory.keep`."""
    own = {f"{OWN}{name}": trained[name] for name in kept_names(trained, plan.kept_at_site)}
    variate = {} if steering is None else own_control(start, trained, steering, plan)
    bound = {name: array for name, array in trained.items() if name == CLIP_NORM}
    return own | bound | {f"{CONTROL}{name}": np.ascontiguousarray(array) for name, array in variate.items()}


def to_release(plan: TrainingPlan, received: Weights, trained: Mapping[str, np.ndarray]) -> Weights:
    """Return what leaves the site: what it trained, and for its own parameters what it was sent."""
    own = kept_names(received, plan.kept_at_site)
    leaving = {name: array for name, array in trained.items() if name != CLIP_NORM}
    return {name: received[name] if name in own else array for name, array in leaving.items()}
