"""Where a step is computed: everything reaches the device, precision is mixed only where it may be."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from fedpsma.errors import InputError
from fedpsma.model.config import NetworkConfig
from fedpsma.model.losses import DenseTargets
from fedpsma.training.patches import PatchBatch
from fedpsma.training.supervised import state as state_module
from fedpsma.training.supervised.device import Compute, compute_on, moved, prefetched
from fedpsma.training.supervised.recipe import TrainRecipe
from fedpsma.training.supervised.state import TrainState, fresh_state, train_step

TINY = NetworkConfig(channels=(16, 16), norm_groups=4)
RECIPE = TrainRecipe(steps=10, learning_rate=1e-3)
CPU = Compute(torch.device("cpu"))


def batch_of(seed: int) -> PatchBatch:
    generator = torch.Generator().manual_seed(seed)
    voxel = torch.randint(3, (2, 8, 8, 8), generator=generator)
    tracer = torch.eye(5)[:2]
    return PatchBatch(torch.rand(2, 5, 8, 8, 8, generator=generator), tracer, DenseTargets(voxel, voxel + 4))


def steps(compute: Compute, count: int) -> TrainState:
    state = fresh_state(RECIPE, TINY, None, compute)
    for number in range(count):
        train_step(state, batch_of(number), RECIPE, compute)
    return state


def moved_by(state: TrainState) -> torch.Tensor:
    before = dict(fresh_state(RECIPE, TINY, None, CPU).net.named_parameters())
    return torch.cat([(value - before[name]).detach().ravel() for name, value in state.net.named_parameters()])


@pytest.mark.parametrize("mixed", [torch.bfloat16, torch.float16])
def test_mixed_precision_computes_nearly_the_same_loss_and_keeps_the_weights_single(mixed: torch.dtype) -> None:
    single, found = steps(CPU, 1), steps(Compute(torch.device("cpu"), mixed), 1)
    assert {parameter.dtype for parameter in found.net.parameters()} == {torch.float32}
    assert float(found.losses) == pytest.approx(float(single.losses), rel=0.02)
    assert float(found.losses) != float(single.losses)


def test_mixed_precision_learns_the_same() -> None:
    single, brain = steps(CPU, 4), steps(Compute(torch.device("cpu"), torch.bfloat16), 4)
    assert float(torch.cosine_similarity(moved_by(single), moved_by(brain), dim=0)) > 0.8
    # The scaler leaves out steps until its scale fits, so that only the size of the later move is told.
    half = moved_by(steps(Compute(torch.device("cpu"), torch.float16), 12))
    assert 0 < float(half.norm()) < 3 * float(moved_by(steps(CPU, 12)).norm())


def test_only_float16_scales_its_loss() -> None:
    scales = {kind: Compute(torch.device("cpu"), kind).scaler().is_enabled() for kind in (None, torch.bfloat16)}
    assert scales == {None: False, torch.bfloat16: False}
    assert Compute(torch.device("cpu"), torch.float16).scaler().is_enabled()


def test_a_step_with_an_infinite_gradient_is_left_out_under_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    compute = Compute(torch.device("cpu"), torch.float16)
    state = fresh_state(RECIPE, TINY, None, compute)
    before = [parameter.clone() for parameter in state.net.parameters()]
    monkeypatch.setattr(state_module, "dense_loss", lambda logits, targets: logits.voxel.sum() * 1e38)
    train_step(state, batch_of(0), RECIPE, compute)
    assert all(torch.equal(old, new) for old, new in zip(before, state.net.parameters(), strict=True))


def test_every_tensor_of_a_step_is_brought_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the device "meta" nothing is computed, but a tensor left on the CPU is an error there as on a GPU."""

    def loss(logits, targets):
        truth = torch.nn.functional.one_hot(targets.voxel, 3).movedim(-1, 1)
        return (logits.voxel * truth).sum() + logits.anatomy.sum()

    monkeypatch.setattr(torch.nn.functional, "one_hot", lambda index, count: index[..., None].expand(*index.shape, 3))
    monkeypatch.setattr(state_module, "dense_loss", loss)
    meta = Compute(torch.device("meta"))
    state = fresh_state(RECIPE, TINY, None, meta)
    train_step(state, moved(batch_of(0), meta.device), RECIPE, meta)
    kept = state.optimizer.state_dict()["state"][0]
    assert {state.losses.device.type, kept["exp_avg"].device.type} == {"meta"}
    with pytest.raises((RuntimeError, NotImplementedError)):
        train_step(state, batch_of(0), RECIPE, meta)


def test_batches_come_in_order_and_are_cut_ahead() -> None:
    made: list[int] = []
    is_ahead = threading.Event()

    def make(step: int) -> PatchBatch:
        made.append(step)
        if step > 6:
            is_ahead.set()
        return batch_of(step)

    with prefetched(make, 4, CPU) as batches:
        found = [next(batches) for _ in range(3)]
        assert is_ahead.wait(20.0), "the fourth is cut while nobody asks for it"
    assert all(torch.equal(one.image, batch_of(step).image) for step, one in enumerate(found, start=4))
    assert made == sorted(made)


def test_a_failure_in_the_thread_reaches_the_caller() -> None:
    def make(step: int) -> PatchBatch:
        if step == 1:
            raise InputError("cannot be read", where="study s1")
        return batch_of(step)

    def taken(batches: Iterator[PatchBatch]) -> None:
        for _ in range(3):
            next(batches)

    with pytest.raises(InputError, match="cannot be read"), prefetched(make, 0, CPU) as batches:
        taken(batches)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_cpu_is_taken_and_a_gpu_refused() -> None:
    assert compute_on("auto") == CPU
    assert str(compute_on("cpu")) == "cpu, float32"
    with pytest.raises(InputError, match="no CUDA device"):
        compute_on("cuda")
