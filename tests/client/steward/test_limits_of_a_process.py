"""The memory that the policy names: a round that needs more is refused, and the process goes on."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from fake_coordinator import GENEROUS, Coordinator, joined_site, refusal_of, set_policy

from client.memory import is_out_of_memory
from client.policy import read_policy
from client.site import code_of
from client.steward.home import SiteHome
from client.steward.run import checked_policy
from client.steward.steward import Steward
from fedpsma.contract import REPORT
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import Weights
from fedpsma.training.private_round import training_device
from fedpsma.training.trainer import TrainingTask

GIGABYTE = 2**30


def _answer_two_orders(home: SiteHome, coordinator: Coordinator, told: Connection) -> None:
    checked_policy(home.folder)
    told.send(resource.getrlimit(resource.RLIMIT_DATA)[0])
    steward = Steward(home)
    told.send(refusal_of(steward.answer(coordinator.order("north", 1))))
    set_policy(home, GENEROUS + "memory_gb = 6\n")
    told.send(set(steward.answer(coordinator.order("north", 2)).records))


def test_a_round_that_needs_more_memory_is_refused_and_the_next_one_runs(tmp_path: Path) -> None:
    coordinator = Coordinator()
    home = joined_site(tmp_path, coordinator)
    set_policy(home, GENEROUS.replace("tiny_trainer", "hungry_trainer") + "memory_gb = 6\n")
    ours, theirs = multiprocessing.Pipe()
    # A process of its own, because a limit of a process cannot be taken back.
    process = multiprocessing.get_context("fork").Process(target=_answer_two_orders, args=(home, coordinator, theirs))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert ours.recv() == 6 * GIGABYTE
    assert ours.recv() == "out_of_memory"
    assert ours.recv() == {REPORT}
    assert "MemoryError" in (home.folder / "errors.log").read_text("utf-8"), "the site's own log says why"


def test_a_trainer_that_is_not_there_stops_the_site_before_it_runs(tmp_path: Path) -> None:
    home = joined_site(tmp_path, Coordinator())
    set_policy(home, GENEROUS.replace("tiny_trainer", "no_trainer.at_all"))
    with pytest.raises(InputError, match=r"no_trainer.at_all: is no trainer"):
        checked_policy(home.folder)


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", '"much"'])
def test_a_limit_that_is_none_stops_the_site_before_it_runs(value: str, tmp_path: Path) -> None:
    home = joined_site(tmp_path, Coordinator())
    set_policy(home, GENEROUS + f"memory_gb = {value}\n")
    with pytest.raises(InputError, match="memory_gb"):
        checked_policy(home.folder)
    with pytest.raises(ValueError, match="memory_gb"):
        read_policy(home.folder)


def _huge_tensor() -> None:
    torch.empty(2**60)


def _out_of_gpu_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def _wrapped() -> None:
    try:
        _out_of_gpu_memory()
    except RuntimeError as error:
        raise InputError("cannot be read", where="a study", remedy="look") from error


@pytest.mark.parametrize("work", [_huge_tensor, _out_of_gpu_memory, _wrapped])
def test_what_pytorch_says_of_memory_has_the_same_code(work: Callable[[], None]) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - PyTorch has no class for it
        work()
    assert code_of(raised.value) == "out_of_memory"  # type: ignore[arg-type]
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access"))


@pytest.mark.parametrize(("asked", "given"), [(1.0, 0.25), (0.1, 0.1)])
def test_training_takes_no_more_of_a_gpu_than_the_policy_gives(
    asked: float, given: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no GPU here: what PyTorch is told to set aside is looked at."""
    told: list[float] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", told.append)

    def train(task: TrainingTask) -> Weights:
        training_device(task.plan)
        return task.weights

    monkeypatch.setattr("tiny_trainer.train", train)
    coordinator = Coordinator()
    home = joined_site(tmp_path, coordinator)
    set_policy(home, GENEROUS + "gpu_share = 0.25\n")
    reply = Steward(home).answer(coordinator.order("north", device="cuda", gpu_share=asked))
    assert set(reply.records) == {REPORT}
    assert told == [given]
