"""The run folder: everything a run needs and everything it leaves.

``plan.json``, ``federation.json``, ``rules.json`` and ``initial.safetensors`` are there before the run;
``events.jsonl``, ``checkpoints/`` and at the end ``model/`` come from it. A round counts as finished once its
``round_XX.json`` exists.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.numpy import load, save

from fedpsma.contract import Federation, TrainingPlan
from fedpsma.errors import InputError, first_problem
from fedpsma.history.events import EventLog
from fedpsma.io.files import read_json, write_bytes, write_json
from fedpsma.model.checkpoint import Checkpoint, ModelCard, Weights, load_checkpoint, save_checkpoint
from server.failures import TOO_FEW_SITES
from server.participation import Participation
from server.strategies import Strategy
from server.strategies.fedavg import FedAvg
from server.updates import Arrays

Model = TypeVar("Model", bound=BaseModel)


class SiteState(BaseModel):
    """How much a site has given so far: rounds that count, and its privacy loss over all of them.

    ``last`` is the last round that counted; ``None`` in a run of an older release, which did not note it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: int = 0
    last: int | None = None
    epsilon: float | None = None
    delta: float | None = None


class RunRules(BaseModel):
    """``rules.json``: how the coordinator makes one model of the replies, and whom it asks.

    With ``averaging`` the run ends with the mean of its weights over the rounds (:mod:`server.averaging`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Strategy = FedAvg()
    participation: Participation = Participation()
    averaging: float | None = Field(default=None, gt=0, lt=1)


class RoundState(BaseModel):
    """Where a run stands after a round; round 0 is the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    run: str
    round: int
    model_sha256: str
    sites: dict[str, SiteState]


@dataclass(frozen=True)
class RoundOutcome:
    """What a round leaves: the weights, their mean over the rounds (empty: none is taken), the strategy's memory."""

    weights: Weights
    mean: Weights
    memory: Arrays


@dataclass(frozen=True)
class RunFolder:
    """Names the files of a run and reads and writes them."""

    path: Path

    @property
    def events(self) -> EventLog:
        """The history of the run."""
        return EventLog(self.path / "events.jsonl")

    def failed_attempts(self) -> Counter[int]:
        """Count by round the attempts that failed for want of sites; one that was only cut off is none."""
        history, _ = self.events.read()
        ends = (event for event in history if event.kind == "run_failed" and event.reason == TOO_FEW_SITES)
        return Counter(event.round + 1 for event in ends if event.round is not None)

    @property
    def initial_path(self) -> Path:
        """The checkpoint that round 1 starts from."""
        return self.path / "initial.safetensors"

    @property
    def model_path(self) -> Path:
        """The checkpoint that the run ends with."""
        return self.path / "model" / "model.safetensors"

    @property
    def keys_path(self) -> Path:
        """The keys by which the sites are known under secure aggregation."""
        return self.path / "keys.json"

    @property
    def stop_path(self) -> Path:
        """A file that is there when somebody wants the run to stop."""
        return self.path / "stop"

    @property
    def incoming(self) -> Path:
        """Where the updates of the round lie that is being played; a killed process leaves them to the next one."""
        return self.path / "incoming"

    def clear_incoming(self) -> None:
        """Remove the updates of a round that is over, however it ended: the coordinator keeps no site's own weights."""
        shutil.rmtree(self.incoming, ignore_errors=True)

    @property
    def is_prepared(self) -> bool:
        """Whether a run can start here; the plan is written last."""
        return (self.path / "plan.json").is_file()

    def prepare(self, plan: TrainingPlan, federation: Federation, initial: Checkpoint, rules: RunRules) -> None:
        """Write what a run needs."""
        save_checkpoint(self.initial_path, initial.card.network, initial.weights, initial.card)
        write_json(self.path / "federation.json", federation.model_dump(mode="json"))
        write_json(self.path / "rules.json", rules.model_dump(mode="json"))
        write_json(self.path / "plan.json", plan.model_dump(mode="json"))

    def plan(self) -> TrainingPlan:
        """Read the plan."""
        return _read(TrainingPlan, self.path / "plan.json")

    def federation(self) -> Federation:
        """Read the run's name and its sites."""
        return _read(Federation, self.path / "federation.json")

    def rules(self) -> RunRules:
        """Read how replies become a model."""
        return _read(RunRules, self.path / "rules.json")

    def checkpoint_path(self, round_number: int) -> Path:
        """Return the file with the weights after a round; round 0 is the initial checkpoint."""
        return (
            self.path / "checkpoints" / f"round_{round_number:02d}.safetensors" if round_number else self.initial_path
        )

    def last_state(self) -> RoundState:
        """Return the state after the last finished round.

        Raises:
            InputError: The newest state belongs to another run.
        """
        run = self.federation().run
        finished = [_read(RoundState, path) for path in (self.path / "checkpoints").glob("round_*[0-9].json")]
        if any(state.run != run for state in finished):
            raise InputError("holds rounds of another run", where=str(self.path), remedy="start in another folder")
        fresh = RoundState(run=run, round=0, model_sha256=load_checkpoint(self.initial_path).card.sha256, sites={})
        return max(finished, key=lambda state: state.round, default=fresh)

    def weights(self, state: RoundState) -> Weights:
        """Read the weights that belong to a state.

        Raises:
            InputError: The file holds other weights than the state names.
        """
        path = self.checkpoint_path(state.round)
        checkpoint = load_checkpoint(path)
        if checkpoint.card.sha256 != state.model_sha256:
            raise InputError("holds other weights than its round left", where=str(path), remedy="delete that round")
        return checkpoint.weights

    def mean(self, round_number: int) -> Weights:
        """Read the mean of the weights over the rounds up to one; empty where none is taken."""
        path = self._mean_path(round_number)
        return load(path.read_bytes()) if path.exists() else {}

    def outcome(self, state: RoundState) -> Weights:
        """Return the weights that a run which ended here would end with.

        Raises:
            InputError: The file holds other weights than the state names.
        """
        return self.mean(state.round) or self.weights(state)

    def memory(self, state: RoundState) -> Arrays:
        """Read what the strategy kept after a round; empty where it keeps nothing."""
        path = self._memory_path(state.round)
        return load(path.read_bytes()) if path.exists() else {}

    def finish_round(self, state: RoundState, outcome: RoundOutcome, card: ModelCard) -> None:
        """Write weights first and the state last, so that a round is finished or did not happen.

        What the strategy kept is needed by the next round only, so that of the round before goes.
        """
        path = self.checkpoint_path(state.round)
        save_checkpoint(path, card.network, outcome.weights, card)
        if outcome.mean:
            write_bytes(self._mean_path(state.round), save(outcome.mean))
        if outcome.memory:
            write_bytes(self._memory_path(state.round), save(dict(outcome.memory)))
        write_json(path.with_suffix(".json"), state.model_dump(mode="json"))
        self._memory_path(state.round - 1).unlink(missing_ok=True)

    def _mean_path(self, round_number: int) -> Path:
        return self.path / "checkpoints" / f"round_{round_number:02d}.mean"

    def _memory_path(self, round_number: int) -> Path:
        return self.path / "checkpoints" / f"round_{round_number:02d}.memory"


def _read(model: type[Model], path: Path) -> Model:
    try:
        return model.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(": ".join(first_problem(error)), where=str(path), remedy="correct the field") from error
