"""How to train: everything that decides the weights beside the data, the start and the machine."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedpsma.errors import InputError, first_problem

FROM_SCRATCH_RATE = 1.5e-3
FINE_TUNING_RATE = 3e-4


class TrainRecipe(BaseModel):
    """AdamW on random patches with a warm-up and a cosine of the learning rate, and a running average of the weights.

    The budget is either ``steps`` or ``minutes`` of wall time. ``slab_share`` of the steps see a slab of each of
    ``patients_per_step`` patients: ``patch_voxels`` axial levels over the whole cross-section of the body, as in
    whole-body inference. The others see cubes of that edge, of twice as many patients. ``validation_share`` of the
    patients are held out. ``mass_share`` of the patches under FDG get a large soft-tissue tumour.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    patch_voxels: int = Field(default=48, ge=8, le=512)
    patients_per_step: int = Field(default=1, ge=1, le=256)
    slab_share: float = Field(default=0.5, ge=0, le=1)
    mass_share: float = Field(default=0.0, ge=0, le=1)
    learning_rate: float = Field(default=FROM_SCRATCH_RATE, gt=0, le=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup_share: float = Field(default=0.03, ge=0, lt=1)
    largest_gradient_norm: float = Field(default=5.0, gt=0)
    average_decay: float = Field(default=0.998, ge=0, lt=1)
    validation_share: float = Field(default=0.2, gt=0, lt=1)
    validate_every: int = Field(default=500, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**63)

    def share(self, step: int, seconds: float) -> float:
        """Return which share of the budget is spent after so many steps and seconds.

        Example:
            >>> TrainRecipe(steps=200).share(50, 1e9)
            0.25
        """
        spent = step / self.steps if self.steps is not None else seconds / (60 * (self.minutes or math.inf))
        return min(1.0, spent)

    def rate(self, share: float) -> float:
        """Return the learning rate after a share of the budget: a linear warm-up, then a cosine to zero.

        Example:
            >>> recipe = TrainRecipe(steps=100, learning_rate=1.0, warmup_share=0.1)
            >>> [round(recipe.rate(share), 2) for share in (0.05, 0.1, 0.55, 1.0)]
            [0.5, 1.0, 0.5, 0.0]
        """
        if share < self.warmup_share:
            return self.learning_rate * max(share / self.warmup_share, 0.01)
        return (
            self.learning_rate * 0.5 * (1 + math.cos(math.pi * (share - self.warmup_share) / (1 - self.warmup_share)))
        )


class Settings(NamedTuple):
    """Details of the recipe, still as text, and other ones."""

    recipe: dict[str, str]
    others: dict[str, str]


def settings_of(given: Sequence[str], others: Collection[str] = ()) -> Settings:
    """Part settings of the form NAME=VALUE by what they belong to.

    Raises:
        InputError: One has another form, an unknown name, or a name that was given before.

    Example:
        >>> settings_of(["patch_voxels=32", "name=pooled"], ["name"])
        Settings(recipe={'patch_voxels': '32'}, others={'name': 'pooled'})
    """
    known = set(TrainRecipe.model_fields) - {"steps", "minutes", "seed"}
    found = Settings({}, {})
    for one in given:
        name, is_one, value = one.partition("=")
        if not is_one or name not in known | set(others):
            names = ", ".join(sorted({*known, *others}))
            raise InputError(f"{one!r} is no setting", where="--set", remedy=f"give NAME=VALUE with one of {names}")
        part = found.recipe if name in known else found.others
        if name in part:
            raise InputError(f"{name} is given twice", where="--set", remedy="give it once")
        part[name] = value
    return found


def recipe_of(options: dict[str, Any]) -> TrainRecipe:
    """Return the recipe of these options.

    Raises:
        InputError: A value is out of its range, or the budget is not exactly one of steps and minutes.
    """
    try:
        recipe = TrainRecipe(**options)
    except ValidationError as error:
        field, what = first_problem(error)
        name = field.split(".")[0]
        where = f"--{name}" if name in ("steps", "minutes", "seed") else f"--set {name}"
        raise InputError(what, where=where, remedy="correct the value") from error
    if (recipe.steps is None) == (recipe.minutes is None):
        raise InputError("exactly one of the two is needed", where="--steps and --minutes", remedy="give one budget")
    return recipe
