"""What can be trained in a federation: a kind of weights, and the kind of data of patients that they learn from.

The federation itself knows neither. It asks the trainer's subject to open a folder of patients; a simulation also asks
it to deal the patients out and to judge a model on those whom nobody trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from fedpsma.evaluation.bootstrap import Figure
from fedpsma.model.checkpoint import Checkpoint
from fedpsma.model.config import ModelConfig

OnItem = Callable[[], None]
Scored = tuple[str, Any]
"""A patient, and what a model reached on a part of the patient's data."""


class PatientData(Protocol):
    """Data by patient in a folder; the privacy ledger of the patients lies beside it."""

    @property
    def folder(self) -> Path:
        """Where it lies."""

    @property
    def patients(self) -> tuple[str, ...]:
        """Pseudonyms of all patients, sorted."""

    @property
    def site(self) -> str:
        """Name of the site that it belongs to."""

    @property
    def synthetic(self) -> bool:
        """Whether no patient of it ever lived."""


Data = TypeVar("Data", bound=PatientData)


class Measure(BaseModel):
    """A figure that a model reaches: its name among the :class:`Figures`, how it is shown, and which way is better.

    ``top`` is the end of its axis, where it has one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    higher_is_better: bool = True
    top: float | None = None


class Yardstick(BaseModel):
    """How models are judged: the measures, the first of them before the others, and a sentence that explains them.

    ``counted`` names what is counted in the patients, such as lesions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measures: tuple[Measure, ...]
    counted: str
    explanation: str


class Figures(BaseModel):
    """What a model reached on held-out patients: each measure by its name, with 95 % intervals over patients."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Figure]

    patients: int
    counted: int

    def of(self, measure: Measure) -> Figure:
        """Return one of the figures."""
        return self.__pydantic_extra__[measure.name]


class Subject(Protocol[Data]):
    """A kind of weights and of data that belong together."""

    @property
    def yardstick(self) -> Yardstick:
        """How its models are judged."""

    def require(self, config: ModelConfig, *, where: str) -> None:
        """Raise InputError where weights are of another kind."""

    def open(self, folder: Path) -> Data:
        """Open a folder of patients.

        Raises:
            InputError: It holds none, or a file is broken.
        """

    def part(self, data: Data, patients: Collection[str], site: str, folder: Path) -> Data:
        """Write the data of some patients as that of a site, without copying what is large."""

    def joined(self, parts: Sequence[Data], name: str, folder: Path | None) -> Data:
        """Return the patients of several sites as those of one, written to a folder where one is given."""

    def label(self, data: Data, patient: str, kind: str) -> str:
        """Return what a patient has of a kind by which a simulation tells patients apart.

        Raises:
            InputError: The data knows no such kind.
        """

    def items(self, data: Data) -> tuple[str, ...]:
        """Return everything that a model is judged on one by one, each as a text that changes when it does."""

    def score(self, checkpoint: Checkpoint, data: Data, on_item: OnItem) -> list[Scored]:
        """Let a model try every item; ``on_item`` is called after each."""

    def figures(self, scored: Sequence[Scored]) -> Figures:
        """Summarise what was scored."""
