"""From a TOML file and the options of the command to one description of a simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedpsma.settings import Table, checked, settings_table
from server.simulation.config import SimulationConfig


def read_config(file: Path | None, options: Mapping[str, Any], settings: Sequence[str]) -> SimulationConfig:
    """Return what to simulate: see :func:`fedpsma.settings.read_settings`."""
    table = settings_table(SimulationConfig, file, options, settings)
    _one_site_is_enough_for_itself(table)
    return checked(SimulationConfig, table)


def _one_site_is_enough_for_itself(table: Table) -> None:
    datasets, plan = table.get("datasets") or (), table.get("plan") or {}
    if len(datasets) == 1 and not table.get("partition") and isinstance(plan, dict):
        table["plan"] = {"min_sites": 1, **plan}
