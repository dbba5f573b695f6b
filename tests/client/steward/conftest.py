"""A coordinator, and a site of twelve patients that joined its federation."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_coordinator import Coordinator, joined_site

from client.steward.home import SiteHome


@pytest.fixture
def coordinator() -> Coordinator:
    return Coordinator()


@pytest.fixture
def home(tmp_path: Path, coordinator: Coordinator) -> SiteHome:
    return joined_site(tmp_path, coordinator)
