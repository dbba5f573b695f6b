"""The realism report: checks with their limits, and what was measured."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, computed_field


class Figure(BaseModel):
    """One number of a check; it holds between ``low`` and ``high`` (``None``: no limit on that side)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    value: float | None
    target: str
    low: float | None = None
    high: float | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def hit(self) -> bool | None:
        """Whether the value keeps its limits; ``None`` where it was not measured or has no limit."""
        if self.value is None or (self.low is None and self.high is None):
            return None
        return (self.low is None or self.value >= self.low) and (self.high is None or self.value <= self.high)


class Check(BaseModel):
    """One row of the table; ``tag`` says how well its target is founded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    section: str
    name: str
    figures: tuple[Figure, ...]
    tag: str
    source: str
    note: str = ""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def hit(self) -> bool | None:
        """Whether all figures hold; ``None`` where none could be judged."""
        judged = [figure.hit for figure in self.figures if figure.hit is not None]
        return all(judged) if judged else None


class RealismReport(BaseModel):
    """How synthetic patients compare with real ones; no patient in it is a real person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    synthetic: bool = True
    note: str
    patients_per_tracer: int
    seed: int
    checks: tuple[Check, ...]

    def section(self, name: str) -> tuple[Check, ...]:
        """Return the checks of one section."""
        return tuple(check for check in self.checks if check.section == name)
