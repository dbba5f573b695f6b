"""Where the steps are computed and in which precision, and how batches get there without the step waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count
from typing import Literal

import torch
from torch import Tensor

from fedpsma.errors import InputError
from fedpsma.model.losses import DenseTargets
from fedpsma.training.patches import PatchBatch

DeviceName = Literal["auto", "cpu", "cuda"]
_BATCHES_AHEAD = 3


@dataclass(frozen=True)
class Compute:
    """A device and the type its matrix products and convolutions are computed in; ``None`` is float32 throughout."""

    device: torch.device
    mixed: torch.dtype | None = None

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which a forward pass runs."""
        return nullcontext() if self.mixed is None else torch.autocast(self.device.type, dtype=self.mixed)

    def scaler(self) -> torch.amp.GradScaler:
        """Return the loss scaler: float16 loses small gradients without it, the other types need none."""
        return torch.amp.GradScaler(self.device.type, enabled=self.mixed is torch.float16)

    def __str__(self) -> str:
        """Name device and precision, for the model card."""
        return f"{self.device.type}, {str(self.mixed or torch.float32).removeprefix('torch.')}"


def compute_on(name: DeviceName) -> Compute:
    """Return the device of this name; "auto" is the GPU where there is one.

    On a GPU the precision is mixed: bfloat16 where the GPU computes in it, else float16.

    Raises:
        InputError: A GPU is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device is available", where="--device cuda", remedy="use --device cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return Compute(torch.device("cpu"))
    brain = torch.cuda.is_bf16_supported(including_emulation=False)
    return Compute(torch.device("cuda"), torch.bfloat16 if brain else torch.float16)


@contextmanager
def prefetched(make: Callable[[int], PatchBatch], first: int, compute: Compute) -> Iterator[Iterator[PatchBatch]]:
    """Give the batches ``first``, ``first + 1``, ... on the device, the next ones being cut meanwhile in a thread."""
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="patches")
    try:
        yield _in_order(pool, lambda step: _pinned(make(step), compute), first, compute)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor, make: Callable[[int], PatchBatch], first: int, compute: Compute
) -> Iterator[PatchBatch]:
    waiting: deque[Future[PatchBatch]] = deque()
    for step in count(first):
        waiting.append(pool.submit(make, step))
        if len(waiting) == _BATCHES_AHEAD:
            yield moved(waiting.popleft().result(), compute.device)


def moved(batch: PatchBatch, device: torch.device) -> PatchBatch:
    """Bring a batch to a device."""
    return _each(batch, lambda tensor: tensor.to(device, non_blocking=True))


def _pinned(batch: PatchBatch, compute: Compute) -> PatchBatch:
    """Lay a batch into page-locked memory, from which a GPU copies it while it computes."""
    return _each(batch, Tensor.pin_memory) if compute.device.type == "cuda" else batch


def _each(batch: PatchBatch, change: Callable[[Tensor], Tensor]) -> PatchBatch:
    targets = DenseTargets(*(change(tensor) for tensor in batch.targets))
    return PatchBatch(change(batch.image), change(batch.tracer), targets)
