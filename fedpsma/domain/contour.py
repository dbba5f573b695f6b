"""How a centre draws the edge of a lesion; no consensus exists, so every data set and every result names its rule."""

from __future__ import annotations

from typing import Literal

ContourConvention = Literal["suv3", "suv4", "pct41", "pct45", "pct50", "liver", "manual"]
