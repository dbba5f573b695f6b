"""What both ways to one gradient a patient have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    # The private step works with gradients of any network, and loads none.
    from fedpsma.model.losses import DenseTargets
    from fedpsma.model.network import DenseLogits
    from fedpsma.training.patches import PatchBatch

    Loss = Callable[[DenseLogits, DenseTargets], Tensor]
# For each trained parameter the gradients of some patients, (patients, *shape).
Block = list[Tensor]


class TrainingDivergedError(RuntimeError):
    """A loss or gradient is not finite, so the round is given up."""


@dataclass(frozen=True)
class Trainee:
    """A network called with image and tracer, the parameters of it that are trained, and the loss of one patient.

    The loss is computed over all patches of a patient together, so that he gives one gradient however many there are.
    """

    net: nn.Module
    parameters: Sequence[nn.Parameter]
    loss: Loss


class PatientGradients(Protocol):
    """A way to one gradient a patient."""

    def __call__(self, trainee: Trainee, patients: Sequence[PatchBatch]) -> Block:
        """Return the gradients of patients with equally many patches each; of one that overflows, no finite ones."""
        ...
