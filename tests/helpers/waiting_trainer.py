"""A trainer that takes a given time and changes every weight, to measure what a federation adds to training."""

from __future__ import annotations

import os
import time

import numpy as np
from tiny_trainer import accountant, cost, epsilon, subject

from fedpsma.model.checkpoint import Weights
from fedpsma.training.interruption import raise_if_stopped
from fedpsma.training.trainer import TrainingTask

__all__ = ["accountant", "cost", "epsilon", "subject", "train"]
SECONDS = "FEDPSMA_TEST_SECONDS"


def train(task: TrainingTask) -> Weights:
    """Wait, and return the weights with noise."""
    deadline = time.monotonic() + float(os.environ.get(SECONDS, "1"))
    while time.monotonic() < deadline:
        raise_if_stopped()
        time.sleep(0.05)
    rng = np.random.default_rng()
    return {name: array + rng.normal(0, 0.01, array.shape).astype(np.float32) for name, array in task.weights.items()}
