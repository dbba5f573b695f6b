"""What training costs in privacy: the record that a ledger keeps and an accountant adds up."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Charge(BaseModel):
    """Steps of the Poisson-subsampled Gaussian mechanism, all with one noise and one rate.

    Each patient is drawn with ``sample_rate``; ``noise_multiplier`` is the noise relative to the clip norm.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample_rate: float = Field(gt=0, le=1)
    noise_multiplier: float = Field(gt=0)
    steps: int = Field(ge=1)
