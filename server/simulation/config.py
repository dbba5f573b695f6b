"""One description of a simulated federation; a TOML file and the options of the command fill the same fields."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from fedpsma.contract import TrainingPlan
from fedpsma.settings import SHORT
from fedpsma.training.subject import Subject
from fedpsma.training.trainer import DEFAULT_TRAINER, load_trainer
from server.participation import Participation
from server.run_folder import RunRules
from server.strategies import Strategy
from server.strategies.adaptive import AdaptiveRule
from server.strategies.fedavg import FedAvg
from server.strategies.fedbn import FedBN
from server.strategies.personal_head import PersonalHead

Engine = Literal["inprocess", "ray", "flwr"]
AttackKind = Literal["nan", "scaled", "sign_flip", "label_flip"]
DEFAULT_HELD_OUT = 0.2


class Partition(BaseModel):
    """How one pooled set becomes sites, patient by patient.

    ``by`` "scanner" and "tracer" make one site of each. "dirichlet" deals every group of ``label`` out in shares from a
    symmetric Dirichlet distribution (Hsu et al. 2019, arXiv 1909.06335), "size" deals all patients out alike but in
    such shares: the smaller ``alpha``, the more unlike the sites. ``least_patients`` every site has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["scanner", "tracer", "dirichlet", "size"]
    sites: int = Field(default=5, ge=1)
    alpha: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    label: Literal["scanner", "tracer"] = "tracer"
    least_patients: int = Field(default=2, ge=1)


class Attack(BaseModel):
    """Sites that do harm: ``sites`` by name, else the first ``count`` in alphabetical order.

    "nan" sends no numbers, "scaled" ten times its update, "sign_flip" its update turned round and four times as long,
    which a check of norms lets pass, and "label_flip" trains honestly on masks that call normal uptake tumour.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: AttackKind
    sites: tuple[str, ...] = ()
    count: int = Field(default=1, ge=1)

    def attackers(self, sites: list[str]) -> tuple[str, ...]:
        """Return who attacks.

        Example:
            >>> Attack(kind="nan").attackers(["B", "A"])
            ('A',)
        """
        return self.sites or tuple(sorted(sites)[: self.count])


class SimulationConfig(BaseModel):
    """A simulated federation: one site a data set, or the sites that ``partition`` makes of all of them.

    ``out`` is the run folder; running again with the same settings goes on in it. ``init`` is the checkpoint to start
    from (``None``: the base checkpoint). ``held_out`` is the share of each site's patients that nobody trains on and
    all models are judged on (``None``: a fifth where models are compared, else nobody). ``compare`` also trains on
    the pooled patients and at every site alone. With ``averaging`` the model is the mean of the weights over the
    rounds, of which so much is kept in every round. ``trainer`` names another module to train with at the simulated
    sites; "reporting.llm.federated" trains adapters of a language model on report corpora.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    datasets: tuple[Path, ...] = Field(min_length=1)
    out: Path = Path("federation")
    plan: TrainingPlan = TrainingPlan()
    strategy: Strategy = FedAvg()
    participation: Participation = Participation()
    averaging: float | None = Field(default=None, gt=0, lt=1)
    partition: Partition | None = None
    attack: Attack | None = None
    engine: Engine = "inprocess"
    init: Path | None = None
    held_out: float | None = Field(default=None, ge=0, lt=1)
    compare: bool = False
    trainer: str | None = None

    @field_validator("strategy", "partition", "attack", mode="before")
    @classmethod
    def _by_its_name(cls, value: object, info: ValidationInfo) -> object:
        """Let a plain word stand for the table that holds nothing else."""
        return {SHORT[info.field_name or ""]: value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _compared_on_somebody(self) -> SimulationConfig:
        if self.compare and self.held_out == 0:
            raise ValueError("models are compared on held-out patients; give held_out more than 0")
        return self

    @property
    def subject(self) -> Subject[Any]:
        """What is trained at the sites."""
        return load_trainer(self.trainer or DEFAULT_TRAINER).subject()

    @property
    def held_out_share(self) -> float:
        """The share of patients to judge on."""
        if self.held_out is None:
            return DEFAULT_HELD_OUT if self.compare else 0.0
        return self.held_out

    @property
    def full_plan(self) -> TrainingPlan:
        """The plan with what the strategy asks of the sites."""
        return self.strategy.plan(self.plan)

    @property
    def rules(self) -> RunRules:
        """What the coordinator goes by."""
        return RunRules(strategy=self.strategy, participation=self.participation, averaging=self.averaging)

    def alone(self, dataset: Path) -> SimulationConfig:
        """Return the same training at one site only, in a folder inside this run's: what the site gets by itself."""
        out = self.out / "alone" / self.subject.open(dataset).site
        return self.of_one(dataset, out)

    def all_shared(self, datasets: Sequence[Path], out: Path) -> SimulationConfig:
        """Return the same federation, honest and with nothing kept at the sites: what their own parts are judged by."""
        strategy: Strategy = self.strategy
        if isinstance(strategy, FedBN | PersonalHead):
            strategy = FedAvg(weighting=strategy.weighting)
        changes: dict[str, Any] = {
            "datasets": tuple(datasets),
            "out": out,
            "plan": self.plan.model_copy(update={"kept_at_site": "nothing"}),
            "strategy": strategy,
            "partition": None,
            "attack": None,
            "held_out": None,
            "compare": False,
        }
        return self.model_copy(update=changes)

    def of_one(self, dataset: Path, out: Path, *, sites: int = 1) -> SimulationConfig:
        """Return the same training on one data set, honest, whole and averaged with nobody.

        ``sites`` is how many sites' patients the data set holds: as many times as many take part in each step. Delta
        stays below one over the patients. An optimiser at the server works on the only update as on a mean.
        """
        patients = len(self.subject.open(dataset).patients)
        changes = {
            "min_sites": 1,
            "secure_aggregation": None,
            "kept_at_site": "nothing",
            "patients_per_step": sites * self.plan.patients_per_step,
            "delta": min(self.plan.delta, 0.5 / patients),
        }
        return SimulationConfig(
            datasets=(dataset,),
            out=out,
            plan=self.plan.model_copy(update=changes),
            strategy=self.strategy if isinstance(self.strategy, AdaptiveRule) else FedAvg(),
            averaging=self.averaging,
            engine=self.engine,
            init=self.init,
            trainer=self.trainer,
        )
