"""The whole plan of a draft."""

from __future__ import annotations

from reporting.plan.case import Case
from reporting.plan.context import context_sections
from reporting.plan.findings import finding_sections, incidental_section
from reporting.plan.impression import impression_section
from reporting.plan.indeterminate import indeterminate_section
from reporting.plan.model import PlannedSection
from reporting.plan.quantities import quantities_section


def plan_report(case: Case) -> list[PlannedSection]:
    """Return the sections of a report in order, without empty ones; the same case always gives the same plan."""
    sections = [
        *context_sections(case),
        *finding_sections(case),
        indeterminate_section(case),
        incidental_section(case),
        quantities_section(case),
        impression_section(case),
    ]
    return [section for section in sections if section.sentences]
