"""How a round's updates become one step: one strategy a file, Flower's own aggregation wherever it has one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from server.strategies.fedadam import FedAdam
from server.strategies.fedavg import FedAvg
from server.strategies.fedbn import FedBN
from server.strategies.fedmedian import FedMedian
from server.strategies.fedprox import FedProx
from server.strategies.fedyogi import FedYogi
from server.strategies.krum import Krum
from server.strategies.multi_krum import MultiKrum
from server.strategies.personal_head import PersonalHead
from server.strategies.scaffold import Scaffold
from server.strategies.trimmed_mean import TrimmedMean

Strategy = Annotated[
    FedAvg | FedAdam | FedYogi | FedMedian | TrimmedMean | Krum | MultiKrum | FedProx | Scaffold | FedBN | PersonalHead,
    Field(discriminator="name"),
]
"""Any of them; ``name`` says which."""
