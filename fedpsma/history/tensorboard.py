"""A run's history for TensorBoard: what patients paid, who counted, how long rounds took, how much was sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fedpsma.history.rounds import RoundRecord, rounds_of
from fedpsma.history.summary import RunSummary, events_of, summary_of
from fedpsma.io.files import finished_folder, require_own_folder

EVENT_FILES = "events.out.tfevents.*"


def write_tensorboard(run_folder: Path, out: Path) -> int:
    """Write the finished rounds of a run as TensorBoard events into a new folder, whole or not at all.

    Args:
        run_folder: The folder with plan, sites and history; the run may still go on.
        out: The folder to write.

    Returns:
        The number of rounds.

    Raises:
        InputError: There is no run, or ``out`` holds something else than this.
    """
    # Loaded here, because it takes a second.
    from tensorboardX import SummaryWriter

    require_own_folder(out, EVENT_FILES)
    summary, rounds = summary_of(run_folder), rounds_of(events_of(run_folder))
    with finished_folder(out) as draft, SummaryWriter(str(draft)) as writer:
        for one in rounds:
            at = one.started.timestamp() + (one.seconds or 0.0)
            for name, value in _scalars(one, summary):
                writer.add_scalar(name, value, one.number, walltime=at)
            if one.missing:
                told = "\n\n".join(f"{site}: {reason}" for site, reason in sorted(one.missing.items()))
                writer.add_text("sites/why_missing", told, one.number, walltime=at)
    return len(rounds)


def _scalars(one: RoundRecord, summary: RunSummary) -> Iterator[tuple[str, float]]:
    for site, epsilon in sorted(one.epsilon.items()):
        if epsilon is not None:
            yield f"epsilon/{site}", epsilon
    if summary.epsilon_budget is not None:
        yield "epsilon/promised", summary.epsilon_budget
    yield "sites/counted", float(len(one.epsilon))
    yield "sites/missing", float(len(set(one.asked) | set(one.missing)) - len(one.epsilon))
    if one.seconds is not None:
        yield "round/seconds", one.seconds
    yield "round/bytes_sent", float(one.bytes_sent)
    yield "round/bytes_received", float(one.bytes_received)
