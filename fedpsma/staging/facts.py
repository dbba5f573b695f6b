"""What is known of a lesion once its free text has been read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fedpsma.domain.assessment import TraceEntry
from fedpsma.domain.exam import Lesion
from fedpsma.domain.region import Region, Side
from fedpsma.staging.options import StagingOptions
from fedpsma.staging.rulebook import Noted, traced
from fedpsma.text.clinical_context import BiopsyResult, read_biopsy
from fedpsma.text.ct_correlate import CtReading, read_ct_correlate
from fedpsma.text.guard import mask_untrusted
from fedpsma.text.regions import find_levels, find_sides

_PROSTATE = (Region.PROSTATE, Region.PROSTATE_BED, Region.SEMINAL_VESICLE)


@dataclass(frozen=True)
class LesionFacts:
    """A lesion with what its texts say.

    ``ct`` holds the class of the table where it gives one, else what the text and the node size say. ``levels`` are the
    vertebrae or ribs named in the text, ``text_sides`` the sides.
    """

    lesion: Lesion
    ct: CtReading
    biopsy: BiopsyResult | None
    levels: frozenset[str]
    text_sides: tuple[Side, ...]
    text_ct: CtReading

    @property
    def lesion_id(self) -> str:
        """The id of the lesion."""
        return self.lesion.lesion_id

    @property
    def region(self) -> Region:
        """The region of the lesion."""
        return self.lesion.region

    @property
    def is_physiologic(self) -> bool:
        """Whether the site is physiological, by its label or by an unhedged text."""
        return self.region.facts.site == "physiologic" or "physiologic" in self.ct.marks

    @property
    def diameter_mm(self) -> float | None:
        """Size in mm, else the diameter of the sphere of the same volume; null where both are missing."""
        if self.lesion.size_mm is not None and self.lesion.size_mm >= 0:
            return self.lesion.size_mm
        if self.lesion.volume_ml is None or self.lesion.volume_ml < 0:
            return None
        return sphere_diameter_mm(self.lesion.volume_ml)


def sphere_diameter_mm(volume_ml: float) -> float:
    """Diameter (mm) of a sphere of this volume (ml), d = (6 V / pi)^(1/3).

    Example:
        >>> round(sphere_diameter_mm(0.5236), 2)
        10.0
    """
    return 10.0 * math.cbrt(6.0 * volume_ml / math.pi)


def is_called_malignant(lesion: Lesion) -> bool:
    """Whether the label of the table calls the lesion malignant."""
    return (lesion.label or "").strip().casefold() in ("malignant", "maligne", "metastasis", "tumour", "tumor")


def is_called_indeterminate(lesion: Lesion) -> bool:
    """Whether the label of the table calls the lesion indeterminate."""
    return (lesion.label or "").strip().casefold() in ("indeterminate", "equivocal", "unklar", "indeterminiert")


def is_called_benign(lesion: Lesion) -> bool:
    """Whether the label of the table calls the lesion benign or physiological."""
    return (lesion.label or "").strip().casefold() in ("benign", "benigne", "physiologic", "physiological", "normal")


def read_lesion(lesion: Lesion, options: StagingOptions) -> Noted[LesionFacts]:
    """Read the free text of one lesion and settle its CT class."""
    text = lesion.ct_correlate
    reading = read_ct_correlate(text, lesion.region)
    settled, basis = _settled(lesion, reading, options)
    trusted = mask_untrusted(text or "")
    facts = LesionFacts(
        lesion=lesion,
        ct=settled,
        biopsy=read_biopsy(lesion.biopsy, from_prostate=lesion.region in _PROSTATE),
        levels=find_levels(trusted),
        text_sides=tuple(side for _, side in find_sides(trusted)),
        text_ct=reading,
    )
    return Noted(facts, (_ct_entry(facts, basis),))


def _settled(lesion: Lesion, reading: CtReading, options: StagingOptions) -> tuple[CtReading, str]:
    if lesion.ct_class is not None:
        return replace(reading, ct_class=lesion.ct_class), "lesion table"
    if _is_large_node(lesion, reading, options):
        return replace(reading, ct_class="suspicious"), f"short axis of at least {_limit_mm(lesion, options):g} mm"
    return reading, "correlate text" if reading.ct_class else "not stated"


def _is_large_node(lesion: Lesion, reading: CtReading, options: StagingOptions) -> bool:
    if not lesion.region.is_node or reading.ct_class not in (None, "nonspecific") or "benign_node" in reading.marks:
        return False
    axis = short_axis_mm(lesion, reading)
    return axis is not None and axis >= _limit_mm(lesion, options)


def _limit_mm(lesion: Lesion, options: StagingOptions) -> float:
    pelvic = lesion.region.facts.mitnm_axis == "N"
    return options.node_short_axis_pelvis_mm if pelvic else options.node_short_axis_elsewhere_mm


def short_axis_mm(lesion: Lesion, reading: CtReading) -> float | None:
    """Return the short axis of a node (mm) from the table, else from the text."""
    return lesion.size_mm if lesion.size_mm is not None else reading.short_axis_mm


def _ct_entry(facts: LesionFacts, basis: str) -> TraceEntry:
    inputs = {"lesion": facts.lesion_id, "basis": basis, "words": list(facts.ct.words), "size_mm": facts.lesion.size_mm}
    return traced("ct_class", inputs, facts.ct.ct_class)
