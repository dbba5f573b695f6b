"""How long the rules take: one exam with 500 lesions, alone and beside a prior of 500, staged in under 0.2 s.

Time is processor time of this process, so that what else runs on the machine does not count.
"""

from __future__ import annotations

import random
import time
from typing import Any

from fedpsma.domain.exam import Exam
from fedpsma.domain.region import Region
from fedpsma.staging import assess

LESIONS = 500
LIMIT_S = 0.2
REPEATS = 5
TEXTS = (None, "sclerotic", "no CT correlate", "degenerative, osteophytes", "12 mm short axis", "no sclerosis or lysis")


def made_up_exam(seed: int, *, with_prior: bool) -> Exam:
    """Return an exam with lesions in all regions; no patient, only many rows."""
    rng = random.Random(seed)
    rows = [_row(f"L{number}", rng) for number in range(LESIONS)]
    prior: dict[str, Any] | None = None
    if with_prior:
        before = [
            {"lesion_id": f"P{number}", **{name: row[name] for name in ("region", "side", "suvmax")}}
            for number, row in enumerate(rows)
        ]
        prior = {"modality": "PSMA PET/CT", "tracer": "68Ga-PSMA-11", "lesions": before, "psma_vol_ml": 400.0}
    return Exam.model_validate(
        {
            "tracer": "68Ga-PSMA-11",
            "clinical": {"prostate_status": "in_situ"},
            "reference_suv": {"blood_pool": 1.6, "liver": 4.5, "parotid": 15.1},
            "psma_vol_ml": 500.0,
            "lesions": rows,
            "prior": prior,
        }
    )


def _row(lesion_id: str, rng: random.Random) -> dict[str, Any]:
    region = rng.choice(list(Region))
    return {
        "lesion_id": lesion_id,
        "region": region.value,
        "side": rng.choice([None, *region.facts.sides]),
        "suvmax": round(rng.uniform(0.5, 40.0), 1),
        "size_mm": rng.choice([None, 6, 12, 30]),
        "ct_correlate": rng.choice(TEXTS),
    }


def seconds(exam: Exam) -> float:
    """Return the shortest of a few runs; the first one of a process reads the data files."""
    assess(exam)
    taken = []
    for _ in range(REPEATS):
        start = time.process_time()
        assess(exam)
        taken.append(time.process_time() - start)
    return min(taken)


def main() -> None:
    """Print the table; fails where a limit is missed."""
    print(f"{'exam':34}{'seconds':>9}{'of the limit':>14}")
    missed = False
    for name, with_prior in ((f"{LESIONS} lesions", False), (f"{LESIONS} lesions, prior of {LESIONS}", True)):
        taken = seconds(made_up_exam(1, with_prior=with_prior))
        missed = missed or taken > LIMIT_S
        print(f"{name:34}{taken:9.3f}{taken / LIMIT_S:13.0%}")
    if missed:
        raise SystemExit(f"over the limit of {LIMIT_S} s")


if __name__ == "__main__":
    main()
