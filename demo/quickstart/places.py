"""Where a quickstart keeps what; the page and the steps agree on it here."""

from __future__ import annotations

from pathlib import Path

from demo.quickstart.chain import Workplace


def training_data(place: Workplace, site: str) -> Path:
    """Return the data set a site trains on."""
    return place.folder / "data" / f"site_{site}"


def held_out_data(place: Workplace, site: str) -> Path:
    """Return the data set of a site that nobody trains on."""
    return place.folder / "data" / f"site_{site}_held_out"


def federation(place: Workplace) -> Path:
    """Return the run folder of the federation."""
    return place.folder / "federation"


def comparison_file(place: Workplace) -> Path:
    """Return the table of models."""
    return place.folder / "comparison.json"


def patient(place: Workplace) -> Path:
    """Return the folder of the patient who is read."""
    return place.folder / "patient"


def report(place: Workplace) -> Path:
    """Return the folder of the draft report."""
    return place.folder / "report"
