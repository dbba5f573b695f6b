"""``check.json``: everything that the check found, for people and scripts."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from fedpsma import __version__
from fedpsma.io.dataset import DatasetInfo
from fedpsma.site_check.cohort_rules import cohort_problems
from fedpsma.site_check.limits import limits
from fedpsma.site_check.problems import CheckedStudy, Problem, Severity
from fedpsma.site_check.study_rules import study_problems
from fedpsma.site_check.summary import DatasetSummary, StudySummary, summarise, summarise_study

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class CheckReport(BaseModel):
    """The result of a check; it names patients by their pseudonyms only and is meant to stay at the site.

    ``problems`` stand in the order error, warning, note, then as the index has them. ``caution`` says how far the
    limits can be trusted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    software: str
    dataset: DatasetInfo
    ready: bool
    errors: int
    warnings: int
    notes: int
    problems: tuple[Problem, ...]
    summary: DatasetSummary
    studies: tuple[StudySummary, ...]
    caution: str

    @property
    def verdict(self) -> str:
        """Whether training may start, in one line."""
        if self.ready:
            return "ready to train"
        return f"training must not start: {self.errors} error{'' if self.errors == 1 else 's'}"


def build_report(info: DatasetInfo, studies: Sequence[CheckedStudy]) -> CheckReport:
    """Apply every rule and sum up."""
    found = [problem for study in studies for problem in study_problems(study)] + cohort_problems(info, studies)
    problems = tuple(sorted(found, key=lambda one: SEVERITIES.index(one.severity)))
    counts = {severity: sum(one.severity == severity for one in problems) for severity in SEVERITIES}
    return CheckReport(
        software=f"fedpsma {__version__}",
        dataset=info,
        ready=counts["error"] == 0,
        errors=counts["error"],
        warnings=counts["warning"],
        notes=counts["note"],
        problems=problems,
        summary=summarise(info, studies),
        studies=tuple(summarise_study(study) for study in studies),
        caution=limits().caution,
    )
