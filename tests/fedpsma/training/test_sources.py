from __future__ import annotations

import os
from collections.abc import Callable

from fedpsma.io.dataset import Dataset
from fedpsma.model.config import NetworkConfig
from fedpsma.training.sources import SourceCache


def test_a_study_is_read_once_until_it_changes_or_is_pushed_out(toy: Callable[[int], Dataset]) -> None:
    dataset, config, cache = toy(3), NetworkConfig(), SourceCache(capacity=2)
    first = cache.get(dataset, dataset.rows[0], config)
    assert cache.get(dataset, dataset.rows[0], config) is first
    path = dataset.folder / dataset.rows[0].pet
    os.utime(path, ns=(1, 1))
    changed = cache.get(dataset, dataset.rows[0], config)
    assert changed is not first
    for row in dataset.rows[1:]:
        cache.get(dataset, row, config)
    assert cache.get(dataset, dataset.rows[0], config) is not changed


def test_all_studies_of_a_patient_come_together(toy: Callable[[int], Dataset]) -> None:
    dataset = toy(2)
    found = SourceCache().of_patient(dataset, "p01", NetworkConfig())
    assert [source.study.study_id for source in found] == ["s1"]
