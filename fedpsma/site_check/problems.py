"""A problem of a data set: what is wrong, in which file, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from fedpsma.domain.tracer import Tracer
from fedpsma.io.dataset import Dataset, StudyRow
from fedpsma.io.suv import HIGHEST_MAXIMUM, LOWEST_MAXIMUM
from fedpsma.site_check.facts import OrganSuv, PetFacts, StudyFacts
from fedpsma.site_check.limits import limits

Severity = Literal["error", "warning", "note"]
Code = Literal[
    "file_missing",
    "file_unreadable",
    "grid_mismatch",
    "mask_not_labels",
    "mask_missing",
    "tracer_missing",
    "suv_impossible",
    "mixed_units",
    "no_lesion",
    "few_patients",
    "same_pet",
    "same_ct",
    "same_study",
    "similar_pet",
    "body_mean_odd",
    "liver_odd",
    "blood_pool_odd",
    "liver_blood_ratio_odd",
    "liver_left",
    "mask_low_uptake",
    "mask_mirrored",
    "ct_misfit",
    "contour_differs",
    "lesion_count_outlier",
    "lesion_volume_outlier",
    "voxel_odd",
    "spacing_differs",
    "field_small",
    "date_missing",
    "several_scanners",
    "scanner_unknown",
    "follow_up",
    "without_ct",
]
STUDIES_FILE, DATASET_FILE = "studies.jsonl", "dataset.json"


class Problem(BaseModel):
    """One finding. An error means that training must not start; a note asks for nothing.

    ``file`` is relative to the data set; ``study`` is the id it belongs to, ``None`` for the data set as a whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Severity
    code: Code
    file: str
    study: str | None
    what: str
    remedy: str


@dataclass(frozen=True)
class CheckedStudy:
    """One line of the index with its number in the file (from 1), its tracer and what its volumes show.

    ``other_unit`` is the body mean over that of the other studies where it is a multiple or a fraction of it.
    """

    row: StudyRow
    line: int
    tracer: Tracer | None
    facts: StudyFacts
    other_unit: float | None = None

    @property
    def where(self) -> str:
        """The line of the index."""
        return f"{STUDIES_FILE}, line {self.line}"

    @property
    def is_suv(self) -> bool:
        """Whether there is a PET that can be in SUVbw."""
        return self.facts.pet is not None and self.other_unit is None and impossible_suv(self.facts.pet) is None

    @property
    def mask_misfit(self) -> Literal["mask_mirrored", "mask_low_uptake"] | None:
        """How the outlines contradict the uptake; ``None`` where they do not, or there is no lesion."""
        mask, rules = self.facts.mask, limits().rules
        if mask is None or mask.low_share is None:
            return None
        if mask.seems_mirrored(rules.mirrored_gain.value, rules.mirrored_contrast.value):
            return "mask_mirrored"
        return "mask_low_uptake" if mask.low_share > rules.low_suv_share.value else None

    @property
    def liver(self) -> OrganSuv | None:
        """The liver, where the PET is plausible and the liver was found."""
        return None if self.facts.pet is None or not self.is_suv else self.facts.pet.liver

    @property
    def blood_pool(self) -> OrganSuv | None:
        """The blood pool, where it can be trusted.

        Not by the map for FDG, since the map of the heart holds the hot myocardium too; not by the rules where the CT,
        which shows them the aorta, does not fit, or the patient seems mirrored.
        """
        found = None if self.facts.pet is None or not self.is_suv else self.facts.pet.blood_pool
        if found is None or self.facts.pet is None:
            return None
        if found.found_by == "anatomy":
            return None if self.tracer is not None and not self.tracer.facts.targets_psma else found
        return found if self.facts.pet.liver_side != "L" and self.ct_misfit is None else None

    @property
    def ct_misfit(self) -> str | None:
        """How the CT contradicts the PET; ``None`` where it does not, or there is none."""
        ct, rules = self.facts.ct, limits().rules
        if ct is None or self.facts.pet is None:
            return None
        if ct.body_overlap is not None and ct.body_overlap < rules.body_overlap.value:
            return f"does not fit the body of the PET (Dice of the outlines {ct.body_overlap:.2f})"
        low, high = rules.liver_hu.value
        if ct.liver_hu is not None and self.facts.pet.liver_side == "R" and not low <= ct.liver_hu <= high:
            return f"shows {ct.liver_hu:.0f} HU where the PET seems to show the liver"
        return None


def checked_studies(data: Dataset, facts: Sequence[StudyFacts]) -> list[CheckedStudy]:
    """Bring every line of the index and its facts together, in the order of the index."""
    rows = zip(data.rows, _line_numbers(data), facts, _other_units(facts), strict=True)
    return [CheckedStudy(row, line, row.tracer or data.info.tracer, one, factor) for row, line, one, factor in rows]


def is_whole_body(pet: PetFacts) -> bool:
    """Tell whether the field of view is long enough for a mean over the body."""
    return pet.field_mm[2] >= limits().rules.whole_body_mm.value


def impossible_suv(pet: PetFacts) -> str | None:
    """Say why a PET cannot be SUVbw; ``None`` where it can."""
    least, most = limits().rules.impossible_body_mean.value
    possible = pet.body_mean is not None and least <= pet.body_mean <= most
    if possible and LOWEST_MAXIMUM <= pet.maximum <= HIGHEST_MAXIMUM:
        return None
    mean = "no body" if pet.body_mean is None else f"a body mean of {pet.body_mean:.3g}"
    return f"has a maximum of {pet.maximum:.3g} and {mean}, which is no SUVbw in g/ml"


def _other_units(facts: Sequence[StudyFacts]) -> list[float | None]:
    """Return the body mean of each study over the median, where it is so far off that the unit must be another."""
    rules = limits().rules
    means = [_comparable_mean(one) for one in facts]
    known = [mean for mean in means if mean is not None]
    if len(known) < rules.mixed_units_from.value:
        return [None] * len(means)
    factors = [1.0 if mean is None else mean / float(np.median(known)) for mean in means]
    most = rules.mixed_units_factor.value
    return [factor if max(factor, 1.0 / factor) > most else None for factor in factors]


def _comparable_mean(facts: StudyFacts) -> float | None:
    pet = facts.pet
    return pet.body_mean if pet is not None and is_whole_body(pet) and impossible_suv(pet) is None else None


def _line_numbers(data: Dataset) -> list[int]:
    """Return the line of each row, which blank lines can put off."""
    text = (data.folder / STUDIES_FILE).read_text("utf-8")
    return [number for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
