"""A trainer that never ends by itself, and looks up between its steps as the real one does."""

from __future__ import annotations

import time

from tiny_trainer import accountant as accountant
from tiny_trainer import cost as cost
from tiny_trainer import epsilon as epsilon
from tiny_trainer import subject as subject

from fedpsma.model.checkpoint import Weights
from fedpsma.training.interruption import raise_if_stopped
from fedpsma.training.trainer import TrainingTask


def train(task: TrainingTask) -> Weights:
    """Train until somebody asks it to stop."""
    while True:
        time.sleep(0.01)
        raise_if_stopped()
