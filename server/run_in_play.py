"""What the round loop knows of the run that it plays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from fedpsma.contract import Federation, TrainingPlan
from fedpsma.history.events import EventLog
from fedpsma.model.checkpoint import ModelCard
from server.flower import Link
from server.run_folder import RunFolder, RunRules, SiteState
from server.signing import Signing


@dataclass
class RunInPlay:
    """A run with its way to the sites.

    ``names`` has the sites by node, empty for a node that is none; ``failed`` the attempts at each round that failed
    for want of sites; ``sites`` what each has given before the round that is played.
    """

    link: Link
    folder: RunFolder
    plan: TrainingPlan
    federation: Federation
    rules: RunRules
    events: EventLog
    initial: ModelCard
    signing: Signing
    names: dict[int, str] = field(default_factory=dict)
    failed: Counter[int] = field(default_factory=Counter)
    sites: Mapping[str, SiteState] = field(default_factory=dict)
