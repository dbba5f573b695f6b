"""Fixtures for the whole suite: no network, and the real data where it lies beside the checkout."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from fedpsma.offline import go_offline

go_offline()
# The same examples every time, and none is a failure for taking long: what is asked for a time stands in benchmarks/.
hypothesis.settings.register_profile("any machine", deadline=None, derandomize=True)
hypothesis.settings.load_profile("any machine")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold slow tests, so that no worker waits for another at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data beside the checkout; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip("the real data does not lie beside this checkout")
    return SHARED
