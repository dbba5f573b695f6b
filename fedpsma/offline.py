"""Switches that keep every library we use from calling out.

They must stand in the environment before the libraries are imported, so the command line and the test suite call
:func:`go_offline` first of all.
"""

from __future__ import annotations

import os

SWITCHES = {
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TRANSFORMERS_OFFLINE": "1",
}


def go_offline() -> None:
    """Set every switch that is not already set by the user."""
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)


def open_switches() -> dict[str, str]:
    """Return the switches whose value in the environment lets a library call out."""
    return {name: os.environ.get(name, "") for name, value in SWITCHES.items() if os.environ.get(name) != value}
