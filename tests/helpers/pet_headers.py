"""The header of a plain fluorine-18 PET, from which tests of SUV and of decay depart."""

from __future__ import annotations

from datetime import datetime, time

from fedpsma.io.pet_header import FrameTiming, PetHeader

F18_S = 6586.2
NOON = datetime(2024, 1, 31, 12, 0, 0)
PLAIN_HEADER = PetHeader(
    units="BQML",
    corrections=frozenset({"ATTN", "DECY"}),
    decay_correction="START",
    weight_kg=80.0,
    dose_bq=300e6,
    half_life_s=F18_S,
    injected_time=time(11, 0, 0),
    series_start=NOON,
    frames=(FrameTiming(acquired=NOON),),
)
