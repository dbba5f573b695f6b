"""Dealing patients out: a partition, deterministic, with the skew that was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpsma.contract import TrainingPlan
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dataset import DatasetInfo, StudyRow, read_dataset, write_dataset
from server.simulation.config import Attack, Partition, SimulationConfig
from server.simulation.datasets import pooled, site_data
from server.simulation.partition import partition

LABELS = st.dictionaries(
    st.text("abcdefgh0123", min_size=1, max_size=5),
    st.sampled_from(["Siemens Biograph (64)", "GE Discovery", "GE-Discovery", "unknown"]),
    min_size=1,
    max_size=40,
)
RULES = st.builds(
    Partition,
    by=st.sampled_from(["scanner", "tracer", "dirichlet", "size"]),
    sites=st.integers(1, 6),
    alpha=st.sampled_from([0.05, 0.5, 5.0, 100.0]),
    least_patients=st.integers(1, 3),
)


@given(LABELS, RULES, st.integers(0, 1000))
def test_every_patient_is_at_exactly_one_site(labels: dict[str, str], rule: Partition, seed: int) -> None:
    try:
        sites = partition(labels, rule, seed)
    except InputError:
        sizes = [list(labels.values()).count(one) for one in set(labels.values())]
        few = len(labels) < rule.sites * rule.least_patients
        assert few if rule.by in ("dirichlet", "size") else min(sizes) < rule.least_patients
        return
    dealt = [patient for patients in sites.values() for patient in patients]
    assert sorted(dealt) == sorted(labels)
    assert min(len(patients) for patients in sites.values()) >= rule.least_patients
    if rule.by in ("dirichlet", "size"):
        assert len(sites) == rule.sites


@given(LABELS, RULES, st.integers(0, 1000))
def test_the_same_seed_deals_alike_whatever_the_order(labels: dict[str, str], rule: Partition, seed: int) -> None:
    try:
        first = partition(labels, rule, seed)
    except InputError:
        return
    assert first == partition(dict(reversed(labels.items())), rule, seed)


@given(LABELS)
def test_by_scanner_no_site_has_two_scanners(labels: dict[str, str]) -> None:
    sites = partition(labels, Partition(by="scanner", least_patients=1), 0)
    assert len(sites) == len(set(labels.values()))
    assert all(len({labels[patient] for patient in patients}) == 1 for patients in sites.values())


def test_labels_that_come_out_alike_keep_their_patients() -> None:
    rule = Partition(by="scanner", least_patients=1)
    lost_before = partition({"p1": "A B", "p2": "A-B-3", "p3": "A/B"}, rule, 0)
    assert lost_before == {"A-B": ("p1",), "A-B-3": ("p2",), "A-B-4": ("p3",)}
    assert list(partition({"p1": "A B", "p2": "A-B", "p3": "A-B-2"}, rule, 0)) == ["A-B", "A-B-3", "A-B-2"]
    assert list(partition({"p1": "A B", "p2": "A/B"}, rule, 0)) == ["A-B", "A-B-2"]


ALIKE = [f"{name}{number}" for name in ("A B", "A/B", "A-B", "-A-B", "") for number in ("", "-2", "-3", "-4")]


@given(st.dictionaries(st.text("pq", max_size=5), st.sampled_from(ALIKE), min_size=3))
def test_no_patient_is_lost_whatever_the_scanners_are_called(labels: dict[str, str]) -> None:
    sites = partition(labels, Partition(by="scanner", least_patients=1), 0)
    assert sorted(patient for patients in sites.values() for patient in patients) == sorted(labels)
    assert len(sites) == len(set(labels.values()))


def _labels(count: int) -> dict[str, str]:
    return {f"p{number:04d}": "ab"[number % 2] for number in range(count)}


def _shares_of_a(alpha: float, seed: int) -> list[float]:
    labels = _labels(400)
    sites = partition(labels, Partition(by="dirichlet", sites=4, alpha=alpha), seed)
    return [np.mean([labels[patient] == "a" for patient in patients]) for patients in sites.values()]


def test_a_small_alpha_makes_unlike_sites_and_a_large_one_alike_ones() -> None:
    unlike = np.mean([np.std(_shares_of_a(0.1, seed)) for seed in range(20)])
    alike = np.mean([np.std(_shares_of_a(1000.0, seed)) for seed in range(20)])
    assert unlike > 0.3
    assert alike < 0.05


def test_size_skew_changes_sizes_but_not_the_mixture() -> None:
    labels = _labels(1000)
    sizes, mixtures = [], []
    for seed in range(20):
        sites = partition(labels, Partition(by="size", sites=3, alpha=1.0), seed)
        sizes.append(np.std([len(patients) for patients in sites.values()]))
        mixtures += [
            abs(np.mean([labels[one] == "a" for one in patients]) - 0.5)
            for patients in sites.values()
            if len(patients) > 100
        ]
    assert np.mean(sizes) > 100
    assert np.mean(mixtures) < 0.05
    even = partition(labels, Partition(by="size", sites=4, alpha=1e6), 0)
    assert {len(patients) for patients in even.values()} <= {249, 250, 251}


def test_seeds_differ() -> None:
    rule = Partition(by="dirichlet", sites=4)
    assert partition(_labels(50), rule, 1) != partition(_labels(50), rule, 2)


def _config(pool: Path, **more: object) -> SimulationConfig:
    return SimulationConfig(datasets=(pool,), out=pool.parent / "run", plan=TrainingPlan(seed=4), **more)


def test_sites_keep_whole_patients_and_find_the_given_volumes(pool: Path) -> None:
    whole = read_dataset(pool)
    sites = site_data(_config(pool, partition={"by": "tracer"}, held_out=0.25))
    assert [site.name for site in sites] == sorted(list(Tracer)[:2])
    rows = [row for site in sites for part in (site.training, site.held_out) if part for row in part.rows]
    assert sorted(row.id for row in rows) == sorted(row.id for row in whole.rows)
    assert {Path(row.pet).parent for row in rows} == {pool.resolve()}
    for site in sites:
        assert site.held_out is not None
        assert not set(site.training.patients) & set(site.held_out.patients)
        assert len(site.held_out.patients) == round(0.25 * (len(site.training.patients) + len(site.held_out.patients)))
        assert {row.tracer for row in site.training.rows} == {site.name}
        assert site.training.info.contour == "suv4"
    again = site_data(_config(pool, partition={"by": "tracer"}, held_out=0.25))
    assert again == sites


def test_the_pool_of_several_data_sets_tells_equal_pseudonyms_apart(pool: Path, tmp_path: Path) -> None:
    rows = [StudyRow(id=f"s{n}-0", patient=f"p{n}", pet="x.nii.gz", spacing=(4, 4, 4)) for n in range(6)]
    write_dataset(tmp_path / "other", DatasetInfo(name="o", site="O", contour="suv3", tracer=list(Tracer)[2]), rows)
    config = _config(pool).model_copy(update={"datasets": (pool, tmp_path / "other")})
    joined = pooled(site_data(config), tmp_path / "joined", config.subject)
    assert len(joined.patients) == 36
    assert read_dataset(tmp_path / "joined").rows == joined.rows
    assert joined.info.contour == "manual"
    assert not joined.info.synthetic
    assert {row.tracer for row in joined.rows if row.patient.startswith("O/")} == {list(Tracer)[2]}


def test_a_name_that_leads_out_of_the_run_folder_is_refused(pool: Path) -> None:
    info = read_dataset(pool).info.model_copy(update={"site": "../outside"})
    write_dataset(pool, info, list(read_dataset(pool).rows))
    with pytest.raises(InputError, match="not a name"):
        site_data(_config(pool, held_out=0.2))
    assert not (pool.parent / "run").exists()


def test_attackers_are_named_or_the_first() -> None:
    assert Attack(kind="nan", count=2).attackers(["C", "B", "A"]) == ("A", "B")
    assert Attack(kind="nan", sites=("C",)).attackers(["C", "B", "A"]) == ("C",)
