from __future__ import annotations

from collections.abc import Callable

import pytest
from toy_patients import toy_dataset

from fedpsma.io.dataset import Dataset


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Dataset]:
    """Makes a data set of so many small patients, one study each."""
    return lambda patients: toy_dataset(tmp_path_factory.mktemp("toy"), patients)
