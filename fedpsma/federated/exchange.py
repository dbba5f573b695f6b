"""The second exchange of an evaluation: what the coordinator sends to the sites, and what they tell then."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from fedpsma.errors import InputError
from fedpsma.federated.evaluation import SiteEvaluation
from fedpsma.federated.ranking import InfluenceTold, Ranking, pooled_ranking


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RankingAsked(_Record):
    """The ranking of all sites together, of one model: what each site needs to know how much its patients move it."""

    kind: Literal["ranking"] = "ranking"
    model_sha256: str
    table: tuple[tuple[float, ...], ...]
    lesions: float
    scans: float

    @classmethod
    def of(cls, sites: Sequence[SiteEvaluation]) -> Self | None:
        """Return the ranking of what the sites told; ``None`` where none told one."""
        told = [one.ranking for one in sites if one.ranking is not None]
        if not told:
            return None
        pooled = pooled_ranking(told)
        table = tuple(tuple(map(float, row)) for row in pooled.table)
        return cls(model_sha256=sites[0].model_sha256, table=table, lesions=pooled.lesions, scans=pooled.scans)

    @property
    def digest(self) -> str:
        """SHA-256 of the ranking, by which an answer names it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def ranking(self) -> Ranking:
        """Return the ranking to compute with.

        Raises:
            InputError: It has another form than the sites' histograms.
        """
        widths = {len(row) for row in self.table}
        if len(self.table) != 3 or len(widths) != 1 or not np.isfinite(self.table).all():
            raise InputError("is no ranking", where="table", remedy="ask the coordinator for the file again")
        return Ranking(np.array(self.table, dtype=np.float64), self.lesions, self.scans)


class SpreadTold(_Record):
    """What a site tells to the ranking of this digest; no influence where it told no ranking first."""

    kind: Literal["spread"] = "spread"
    site: str
    asked: str
    influence: InfluenceTold | None


def influences(asked: RankingAsked | None, told: Sequence[SpreadTold]) -> list[InfluenceTold]:
    """Return what the sites told to this ranking.

    Raises:
        InputError: A site answered to another ranking, or twice.
    """
    for one in told:
        if asked is None or one.asked != asked.digest:
            raise InputError(
                "answers to another ranking",
                where=f"what site {one.site} told",
                remedy="a site answers once for a model: evaluate with the very answers of before",
            )
    if len({one.site for one in told}) != len(told):
        raise InputError("are given twice", where="answers of a site", remedy="name each file once")
    return [one.influence for one in told if one.influence is not None]
