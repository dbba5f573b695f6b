"""A whole federation on one machine, from data sets to a model and the page that tells of it."""

from __future__ import annotations

from server.simulation.config import Engine, SimulationConfig
from server.simulation.run import SimulationResult, SiteOutcome, simulate

__all__ = ["Engine", "SimulationConfig", "SimulationResult", "SiteOutcome", "simulate"]
