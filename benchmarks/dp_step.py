"""What a private step costs, beside the same step without privacy and beside Opacus.

A step of eight patients with one patch each, of 48 and of 96 voxels an edge, for two networks: ours, which makes five
windows of PET and CT, and MONAI's BasicUNet with 16 features at full resolution, which gets the two volumes. All
weights are trained. Every variant runs in a process of its own: ``plain`` is one gradient of the whole batch;
``grouped`` and ``loop`` are the two ways of :mod:`fedpsma.training.gradients` with clipping and noise; ``opacus hooks``
is Opacus' default and ``opacus ghost`` its ghost clipping. The bars are 1.3 times the time and 1.5 times the peak
memory of the plain step; a site uses the faster way and prefers the loop where both are close.

Time is that of the processor (of the clock on a GPU), the least of some steps. Memory is the peak above what network
and data take. Run it with ``python benchmarks/dp_step.py``, with ``--quick`` for a toy size in three minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from torch import nn

    from fedpsma.training.patches import PatchBatch

TIME_BAR, MEMORY_BAR = 1.3, 1.5
NETWORKS = ("LesionNet", "BasicUNet")
VARIANTS = ("plain", "grouped", "loop", "opacus hooks", "opacus ghost")
CLIP_NORM, NOISE_MULTIPLIER, LEARNING_RATE = 1.0, 1.0, 0.02
MIB = 2**20
Step = Callable[[], None]


@dataclass(frozen=True)
class Job:
    """One variant of the step."""

    network: str
    variant: str
    edge: int
    patients: int
    repeats: int
    threads: int
    device: str
    small: bool


@dataclass(frozen=True)
class Cost:
    """Seconds of a step and the bytes it takes at its peak."""

    seconds: float
    peak_bytes: int


def main() -> None:
    """Measure every variant and print a table for each network and size."""
    options = _options()
    if options.child:
        print(json.dumps(asdict(_measured(Job(**json.loads(options.child))))))
        return
    jobs = _jobs(options)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console, found = Console(), {}
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(jobs))
        for job in jobs:
            progress.update(task, description=f"{job.network} {job.edge}, {job.variant}")
            found[job] = _in_own_process(job)
            progress.advance(task)
            group = {
                one.variant: cost for one, cost in found.items() if (one.network, one.edge) == (job.network, job.edge)
            }
            if len(group) == len(options.variants):
                console.print(_table(group, (job.network, job.edge)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three patients of 16 voxels and small networks")
    parser.add_argument("--network", choices=NETWORKS, help="only this one")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS, help="plain is needed for ratios")
    parser.add_argument("--edge", type=int, help="only this edge, in voxels")
    parser.add_argument("--repeats", type=int, default=3, help="steps that are timed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def _jobs(options: argparse.Namespace) -> list[Job]:
    edges = (options.edge,) if options.edge else (16,) if options.quick else (48, 96)
    networks = (options.network,) if options.network else NETWORKS
    patients = 3 if options.quick else 8
    common = (patients, options.repeats, options.threads, options.device, options.quick)
    return [
        Job(network, variant, edge, *common) for network in networks for edge in edges for variant in options.variants
    ]


def _in_own_process(job: Job) -> Cost | None:
    """Return the cost of a job, ``None`` where there was not enough memory for it."""
    call = [sys.executable, __file__, "--child", json.dumps(asdict(job))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(job.threads)}
    done = subprocess.run(call, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return Cost(**json.loads(done.stdout.splitlines()[-1]))
    if any(sign in done.stderr for sign in ("can't allocate memory", "out of memory", "MemoryError")):
        return None
    raise SystemExit(f"{job}\n{done.stderr}")


def _table(costs: dict[str, Cost | None], group: tuple[str, int]) -> Table:
    table = Table(title=f"{group[0]}, patches of {group[1]} voxels an edge")
    for column in ("step", "seconds", "ratio", "peak MiB", "ratio", f"<= {TIME_BAR} time, <= {MEMORY_BAR} memory"):
        table.add_column(column, justify="left" if column == "step" else "right")
    plain = costs["plain"]
    for variant, cost in costs.items():
        if cost is None or plain is None:
            table.add_row(variant, "not enough memory" if cost is None else f"{cost.seconds:.2f}")
            continue
        slower, larger = cost.seconds / plain.seconds, cost.peak_bytes / plain.peak_bytes
        verdict = "hit" if slower <= TIME_BAR and larger <= MEMORY_BAR else "MISSED"
        table.add_row(
            variant,
            f"{cost.seconds:.2f}",
            f"{slower:.2f}",
            f"{cost.peak_bytes / MIB:.0f}",
            f"{larger:.2f}",
            "" if variant == "plain" else verdict,
        )
    return table


def _measured(job: Job) -> Cost:
    """Measure the memory of a step with the plain allocator, and the time of others as our commands take them."""
    import torch

    from fedpsma.model.memory import keep_freed_memory

    torch.set_num_threads(job.threads)
    _stay_within_free_memory(job)
    net, patients = _network(job), _patients(job)
    step = _step(job, net, patients)
    peak = _peak_of(step, job)
    keep_freed_memory()
    step()
    seconds = []
    for _ in range(job.repeats):
        started = _clock(job)
        step()
        seconds.append(_clock(job) - started)
    return Cost(min(seconds), peak)


def _step(job: Job, net: nn.Module, patients: list[PatchBatch]) -> Step:
    if job.variant == "plain":
        return _plain(net, patients)
    # Opacus must be as it comes: the samplers of fedpsma are only registered where ours is measured.
    return _opacus(job, net, patients) if job.variant.startswith("opacus") else _ours(job, net, patients)


def _plain(net: nn.Module, patients: list[PatchBatch]) -> Step:
    import torch

    from fedpsma.model.losses import DenseTargets, dense_loss

    optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE)
    image, tracer = _batch(patients)
    targets = DenseTargets(*(torch.cat(parts) for parts in zip(*(one.targets for one in patients), strict=True)))

    def step() -> None:
        optimizer.zero_grad()
        dense_loss(net(image, tracer), targets).backward()
        optimizer.step()

    return step


def _ours(job: Job, net: nn.Module, patients: list[PatchBatch]) -> Step:
    import torch

    from fedpsma.contract import TrainingPlan
    from fedpsma.model.losses import dense_loss
    from fedpsma.training.clipping.flat import FlatClipping
    from fedpsma.training.descent import Descent
    from fedpsma.training.dp import PrivateStep, private_gradient
    from fedpsma.training.gradients.engine import Trainee
    from fedpsma.training.gradients.grouped import grouped_gradients
    from fedpsma.training.gradients.loop import loop_gradients
    from fedpsma.training.randomness import SeededRandomness

    parameters = list(net.parameters())
    trainee, size = Trainee(net, parameters, dense_loss), sum(one.numel() for one in parameters)
    private = PrivateStep(FlatClipping(CLIP_NORM), NOISE_MULTIPLIER, float(len(patients)))
    randomness = SeededRandomness(torch.Generator().manual_seed(0))
    groups = [patients] if job.variant == "grouped" else [[one] for one in patients]
    way = grouped_gradients if job.variant == "grouped" else loop_gradients

    descent = Descent.of(TrainingPlan(learning_rate=LEARNING_RATE), parameters, 1)

    def step() -> None:
        blocks = (way(trainee, group) for group in groups)
        descent.step(private_gradient(blocks, size, private, randomness))

    return step


def _opacus(job: Job, net: nn.Module, patients: list[PatchBatch]) -> Step:
    import torch
    from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
    from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping

    plain = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE)
    settings = {
        "noise_multiplier": NOISE_MULTIPLIER,
        "max_grad_norm": CLIP_NORM,
        "expected_batch_size": len(patients),
        "loss_reduction": "sum",
    }
    ghost = job.variant == "opacus ghost"
    if ghost:
        wrapped = GradSampleModuleFastGradientClipping(
            net, max_grad_norm=CLIP_NORM, use_ghost_clipping=True, loss_reduction="sum"
        )
        optimizer = DPOptimizerFastGradientClipping(plain, **settings)
    else:
        wrapped, optimizer = GradSampleModule(net, loss_reduction="sum"), DPOptimizer(plain, **settings)
    image, tracer = _batch(patients)

    def step() -> None:
        optimizer.zero_grad()
        losses = _losses(wrapped(image, tracer), patients)
        if ghost:
            DPTensorFastGradientClipping(wrapped, optimizer, losses, "sum").backward()
        else:
            losses.sum().backward()
        optimizer.step()

    return step


def _losses(logits: tuple, patients: list[PatchBatch]):  # noqa: ANN202 - torch is loaded in the children only
    import torch

    from fedpsma.model.losses import dense_loss

    each = [
        dense_loss(type(logits)(*(part[[number]] for part in logits)), one.targets)
        for number, one in enumerate(patients)
    ]
    return torch.stack(each)


def _batch(patients: list[PatchBatch]) -> tuple:
    import torch

    return tuple(torch.cat(parts) for parts in zip(*(one[:2] for one in patients), strict=True))


def _network(job: Job) -> nn.Module:
    import torch

    from fedpsma.model.config import NetworkConfig
    from fedpsma.model.network import build

    if job.network == "LesionNet":
        config = NetworkConfig(channels=(8, 8), norm_groups=4) if job.small else NetworkConfig()
        return build(config).to(job.device)
    torch.manual_seed(0)
    return _basic_unet(8 if job.small else 16).to(job.device)


def _basic_unet(features: int) -> nn.Module:
    from monai.networks.nets import BasicUNet
    from torch import nn

    from fedpsma.model.network import DenseLogits

    widths = (features, features, 2 * features, 4 * features, 8 * features, features)

    class Headed(nn.Module):
        """Three voxel classes and two of anatomy from one U-Net, whose activations do not work in place for Opacus."""

        def __init__(self) -> None:
            super().__init__()
            act, norm = ("leakyrelu", {"inplace": False}), ("group", {"num_groups": 8})
            self.net = BasicUNet(3, 2, 5, features=widths, act=act, norm=norm)

        def forward(self, image, tracer):  # noqa: ANN001, ANN202 - torch is loaded in the children only
            found = self.net(image)
            return DenseLogits(found[:, :3], found[:, 3:])

    return Headed()


def _patients(job: Job) -> list[PatchBatch]:
    import torch

    from fedpsma.model.losses import DenseTargets
    from fedpsma.training.patches import PatchBatch

    channels, cube = 5 if job.network == "LesionNet" else 2, (1, *[job.edge] * 3)
    generator = torch.Generator().manual_seed(0)

    def patient() -> PatchBatch:
        image = torch.randn(1, channels, *cube[1:], generator=generator)
        targets = DenseTargets(
            *(torch.randint(classes, cube, generator=generator).to(job.device) for classes in (3, 2))
        )
        return PatchBatch(image.to(job.device), torch.full((1, 5), 0.2, device=job.device), targets)

    return [patient() for _ in range(job.patients)]


def _clock(job: Job) -> float:
    if job.device == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def _peak_of(step: Step, job: Job) -> int:
    if job.device != "cpu":
        import torch

        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    # What the libraries load for their first step is not the step's.
    step()
    # Linux forgets the peak so far.
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_bytes("VmRSS")
    step()
    return _status_bytes("VmHWM") - before


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _stay_within_free_memory(job: Job) -> None:
    """Fail where memory ends, instead of having the system end some process or other."""
    from fedpsma.health import GIB, available_memory_gib

    free = available_memory_gib()
    if job.device == "cpu" and free is not None:
        limit = int(_status_bytes("VmSize") + 0.95 * free * GIB)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
