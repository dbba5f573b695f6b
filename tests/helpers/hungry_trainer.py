"""A trainer that wants more memory than a site's policy gives."""

from __future__ import annotations

import numpy as np
from tiny_trainer import accountant, cost, epsilon, subject

from fedpsma.model.checkpoint import Weights
from fedpsma.training.trainer import TrainingTask

__all__ = ["accountant", "cost", "epsilon", "subject", "train"]
WANTED_BYTES = 64 * 2**30


def train(task: TrainingTask) -> Weights:
    """Take the memory, and never come to the end."""
    wanted = np.empty(WANTED_BYTES, np.uint8)
    return {name: array + wanted[0] for name, array in task.weights.items()}
