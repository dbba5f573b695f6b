"""A whole audit on small made-up patients: its report, going on after a stop, and a model that learns by heart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedpsma.audit import run as audit_run
from fedpsma.audit.canaries import with_canaries
from fedpsma.audit.models import membership
from fedpsma.audit.report import AuditReport
from fedpsma.audit.run import AuditConfig, audit
from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset
from fedpsma.model.checkpoint import ModelCard, save_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.network import build

NETWORK = NetworkConfig(channels=(8, 8), norm_groups=4)
PLAN = TrainingPlan(
    rounds=1,
    steps_per_round=2,
    patients_per_step=4,
    patches_per_patient=1,
    patch_voxels=16,
    delta=0.02,
    target_epsilon=4.0,
)


@pytest.fixture(scope="module")
def config(toy: Callable[[int], Dataset], tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    folder = tmp_path_factory.mktemp("audit")
    card = ModelCard(name="untrained", data="none", recipe={}, metrics={})
    save_checkpoint(folder / "initial.safetensors", NETWORK, weights_of(build(NETWORK)), card)
    return AuditConfig(
        dataset=toy(10).folder,
        out=folder / "out",
        plan=PLAN,
        init=folder / "initial.safetensors",
        targets=1,
        shadows=4,
        canaries=12,
        trials=400,
    )


@pytest.fixture(scope="module")
def report(config: AuditConfig) -> AuditReport:
    return audit(config)


@pytest.mark.slow
def test_the_report_holds_both_kinds_with_their_limits(report: AuditReport, config: AuditConfig) -> None:
    private, plain = report.models
    assert (private.protection, plain.protection) == ("private", "plain")
    assert private.claimed_epsilon == pytest.approx(4.0, rel=0.1)
    assert private.claimed_epsilon <= 4.0
    assert private.auc_limit is not None
    assert 0.97 < private.auc_limit < 1.0
    assert plain.claimed_epsilon is None
    assert (report.patients, report.canaries) == (10, 12)
    assert not report.contradicted
    assert AuditReport.model_validate_json((config.out / "audit.json").read_text("utf-8")) == report


@pytest.mark.slow
def test_no_patient_is_named(report: AuditReport) -> None:
    assert "p0" not in report.model_dump_json()


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped(
    report: AuditReport, config: AuditConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config.out / "plain" / "0003.json").unlink()
    trained = []
    real = audit_run.outcomes.__globals__["train_round"]
    monkeypatch.setitem(
        audit_run.outcomes.__globals__, "train_round", lambda *args, **more: trained.append(1) or real(*args, **more)
    )
    assert audit(config) == report
    assert len(trained) == PLAN.rounds


def test_each_model_has_its_own_half_of_the_patients() -> None:
    assert (membership(0, 1, 50) != membership(0, 2, 50)).any()
    assert (membership(0, 1, 50) == membership(0, 1, 50)).all()


def test_canaries_are_patients_whose_masks_say_nothing(toy: Callable[[int], Dataset], tmp_path: Path) -> None:
    data = toy(3)
    every = with_canaries(data, 12, tmp_path, seed=1)
    assert len(every.patients) == 15
    canary, source = every.load(every.rows[3]), data.load(data.rows[0])
    np.testing.assert_array_equal(canary.pet, source.pet)
    assert canary.lesions is not None
    assert 1 <= len(np.unique(canary.lesions)) - 1 <= 3
    assert (canary.lesions != source.lesions).any()


def test_too_few_patients_are_refused(toy: Callable[[int], Dataset], config: AuditConfig, tmp_path: Path) -> None:
    few = config.model_copy(update={"dataset": toy(3).folder, "out": tmp_path})
    with pytest.raises(InputError, match="3 patients"):
        audit(few)
