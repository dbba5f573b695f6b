"""The policies that a reader may change; each one is open in the sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class StagingOptions:
    """Project policies. Where one decides a result, the trace says so.

    Args:
        promise: Version of PROMISE. V2 (default) has strict score bounds and common iliac nodes as M1a; V1 counts a
            score from equality on and common iliac nodes as pelvic.
        count_sides: Whether left and right of one pelvic region count as two regions for N2.
        pattern_beside_dmi: Whether the count of bone lesions is listed beside diffuse marrow involvement.
        label_decides: Whether the table's label "malignant" decides between low and intense uptake where a missing
            reference leaves that open; otherwise such a lesion stays without a category.
        parotid_low_suv: The site's own 5th centile of parotid SUVmean (g/ml), below which a tumour sink is suspected.
        liver_low_suv: The same for the liver.
    """

    promise: Literal["v1", "v2"] = "v2"
    count_sides: bool = False
    pattern_beside_dmi: bool = False
    label_decides: bool = True
    parotid_low_suv: float | None = None
    liver_low_suv: float | None = None
