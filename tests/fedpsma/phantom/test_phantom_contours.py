from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fedpsma.domain.region import Region
from fedpsma.phantom.contours import draw_mask, stands_out

_LIVER = (5.0, 0.5)


def _lesion(signal: float, box=(slice(2, 5),) * 3) -> SimpleNamespace:
    """A lesion of 27 voxels with its strongest in the middle."""
    added = np.full((3, 3, 3), signal / 2, dtype=np.float32)
    added[1, 1, 1] = signal
    shape = SimpleNamespace(placed=SimpleNamespace(region=Region.LN_OBTURATOR))
    return SimpleNamespace(box=box, occupancy=np.ones((3, 3, 3), dtype=np.float32), signal=added, shape=shape)


@pytest.mark.parametrize(
    ("signal", "around", "seen"),
    [
        # Noise in the surroundings: 0.5 * (1 / 5) ** 0.75 = 0.15, so 3 SDs are 0.45 and 30 % of them 0.3.
        (0.40, 1.0, False),
        (0.50, 1.0, True),
        # At SUV 20 the noise is 0.5 * 4 ** 0.75 = 1.41: 30 % of the surroundings ask for 6.
        (5.9, 20.0, False),
        (6.1, 20.0, True),
    ],
)
def test_a_lesion_is_seen_where_it_stands_out_of_surroundings_and_noise(
    signal: float, around: float, seen: bool
) -> None:
    lesion = _lesion(signal)
    assert stands_out(lesion.signal + np.float32(around), lesion, _LIVER) is seen


@pytest.mark.parametrize("convention", ["manual", "pct41"])
def test_what_no_reader_sees_is_not_contoured_and_keeps_its_number_free(convention: str) -> None:
    unseen, seen = _lesion(0.2), _lesion(5.0, (slice(10, 13),) * 3)
    ideal = np.ones((16, 16, 16), dtype=np.float32)
    for lesion in (unseen, seen):
        ideal[lesion.box] += lesion.signal
    mask = draw_mask(ideal, [unseen, seen], convention, _LIVER)
    assert set(np.unique(mask)) == {0, 2}
    assert (mask[seen.box] == 2).any()
