"""Training looks up between two patients, and only the training that was asked to stop does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from fedpsma.contract import TrainingPlan
from fedpsma.io.dataset import Dataset
from fedpsma.model.checkpoint import weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.network import build
from fedpsma.training.interruption import TrainingStoppedError, raise_if_stopped, stoppable
from fedpsma.training.site_round import train_round

NETWORK = NetworkConfig(channels=(16, 16), norm_groups=4)


def test_a_round_of_many_steps_ends_soon_after_it_is_asked_to(toy: Callable[[int], Dataset]) -> None:
    plan = TrainingPlan(steps_per_round=100_000, patients_per_step=2, patch_voxels=16, target_epsilon=None)
    stop = threading.Event()
    asked: list[float] = []

    def ask() -> None:
        asked.append(time.monotonic())
        stop.set()

    timer = threading.Timer(2, ask)
    timer.start()
    with stoppable(stop), pytest.raises(TrainingStoppedError):
        train_round(weights_of(build(NETWORK)), toy(5), plan, 1, "A", network=NETWORK)
    timer.join()
    assert time.monotonic() - asked[0] < 10


def test_only_what_runs_in_the_block_and_its_thread_is_stopped() -> None:
    stop = threading.Event()
    stop.set()
    found: list[bool] = []

    def elsewhere() -> None:
        raise_if_stopped()
        found.append(True)

    with stoppable(stop):
        other = threading.Thread(target=elsewhere)
        other.start()
        other.join()
        with pytest.raises(TrainingStoppedError):
            raise_if_stopped()
    raise_if_stopped()
    assert found == [True]
