"""The policies that a reader may change; each one is open in the sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

from pydantic import Field

Limit = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class StagingOptions:
    """Project policies. Where one decides a result, the trace says so.

    Args:
        promise: Version of PROMISE. V2 (default) has strict score bounds and common iliac nodes as M1a; V1 counts a
            score from equality on and common iliac nodes as pelvic.
        count_sides: Whether left and right of one pelvic region count as two regions for N2.
        diffuse_marrow: The reader's switch for diffuse marrow involvement; otherwise only a row of that region sets it.
        pattern_beside_dmi: Whether the count of bone lesions is listed beside diffuse marrow involvement.
        label_decides: Whether the table's label "malignant" decides between low and intense uptake where a missing
            reference leaves that open; otherwise such a lesion stays without a category.
        unspecific_bone_suvmax: SUVmax (g/ml) below which bone uptake without CT correlate is 3B on a tracer known for
            unspecific bone uptake; 0 switches that off.
        benign_explanations: Whether intense uptake that the CT or the history explains (degenerative bone, sarcoid-like
            nodes, a vaccinated arm, the ureter) is indeterminate instead of counted.
        change_percent: Change of SUVmax or volume (percent) from which a lesion has increased or decreased.
        node_short_axis_pelvis_mm: Short axis from which a node of the true pelvis is suspicious on CT.
        node_short_axis_elsewhere_mm: The same for other nodes.
        parotid_low_suv: The site's own 5th centile of parotid SUVmean (g/ml), below which a tumour sink is suspected.
        liver_low_suv: The same for the liver.
    """

    promise: Literal["v1", "v2"] = "v2"
    count_sides: bool = False
    diffuse_marrow: bool = False
    pattern_beside_dmi: bool = False
    label_decides: bool = True
    unspecific_bone_suvmax: Limit = 10.0
    benign_explanations: bool = True
    change_percent: Limit = 30.0
    node_short_axis_pelvis_mm: Limit = 8.0
    node_short_axis_elsewhere_mm: Limit = 10.0
    parotid_low_suv: Limit | None = None
    liver_low_suv: Limit | None = None


TITLES = {
    "promise": "version of PROMISE",
    "count_sides": "left and right of one pelvic region count as two",
    "diffuse_marrow": "the reader sees diffuse marrow involvement",
    "pattern_beside_dmi": "the number of bone lesions stands beside diffuse marrow involvement",
    "label_decides": "the label of the table decides the uptake where a reference is missing",
    "unspecific_bone_suvmax": "SUVmax below which bone uptake without CT correlate is unspecific on 18F-PSMA-1007",
    "benign_explanations": "intense uptake with a benign explanation is not counted",
    "change_percent": "percent from which a lesion has increased or decreased",
    "node_short_axis_pelvis_mm": "short axis (mm) from which a pelvic node is suspicious on CT",
    "node_short_axis_elsewhere_mm": "short axis (mm) from which another node is suspicious on CT",
    "parotid_low_suv": "parotid SUVmean below which a tumour sink is suspected",
    "liver_low_suv": "liver SUVmean below which a tumour sink is suspected",
}

_OTHER_WAY: dict[str, dict[Any, Any]] = {
    "promise": {"v2": "v1", "v1": "v2"},
    "count_sides": {False: True, True: False},
    "diffuse_marrow": {True: False},
    "pattern_beside_dmi": {False: True, True: False},
    "label_decides": {False: True, True: False},
    "benign_explanations": {False: True, True: False},
    "unspecific_bone_suvmax": {10.0: 0.0},
}


def alternatives(options: StagingOptions) -> Iterator[tuple[str, StagingOptions]]:
    """Yield, by name, each policy taken the other way; a changed limit is set back to its default.

    Example:
        >>> names = [name for name, _ in alternatives(StagingOptions(change_percent=25.0))]
        >>> "count_sides" in names, "change_percent" in names, "node_short_axis_pelvis_mm" in names
        (True, True, False)
    """
    for one in fields(options):
        value = getattr(options, one.name)
        other = _OTHER_WAY.get(one.name, {}).get(value, one.default)
        if other != value:
            yield one.name, replace(options, **{one.name: other})
