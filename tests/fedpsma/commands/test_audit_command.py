"""What ``fedpsma audit`` shows, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fedpsma.audit import run as audit_run
from fedpsma.audit.report import Attack, AuditReport, MechanismProof, ModelAudit, Proof
from fedpsma.audit.run import AuditConfig
from fedpsma.commands.audit import audit
from fedpsma.errors import InputError
from fedpsma.evaluation.bootstrap import Figure


def _report(config: AuditConfig, proved: float) -> AuditReport:
    attack = Attack(auc=Figure(value=0.61, low=0.5, high=0.7), advantage=0.2, found_at={"0.01": 0.0, "0.1": 0.2})
    proof = Proof(patients=40, made=20, right=15, epsilon=proved)
    model = ModelAudit(
        protection="private",
        claimed_epsilon=2.0,
        auc_limit=0.88,
        advantage_limit=0.77,
        loss=attack,
        likelihood_ratio=attack,
        one_run=proof,
        all_runs=proof,
    )
    return AuditReport(
        dataset="d",
        synthetic=True,
        patients=20,
        canaries=config.canaries,
        targets=config.targets,
        shadows=config.shadows,
        plan=config.plan,
        model_sha256="",
        confidence=0.95,
        models=(model,),
        mechanism=MechanismProof(trials=100, claimed_epsilon=2.0, epsilon=1.5),
    )


@pytest.mark.parametrize(("proved", "code", "verdict"), [(0.8, 0, "nothing contradicts"), (2.3, 1, "CONTRADICTED")])
def test_it_says_whether_the_claim_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proved: float, code: int, verdict: str
) -> None:
    asked: list[AuditConfig] = []

    def fake(config: AuditConfig, on_model: object) -> AuditReport:
        asked.append(config)
        return _report(config, proved)

    monkeypatch.setattr(audit_run, "audit", fake)
    app = typer.Typer()
    app.command()(audit)
    options = ["--epsilon", "2", "--rounds", "5", "--set", "delta=0.002", "--set", "canaries=12"]
    found = CliRunner().invoke(app, [str(tmp_path), "--out", str(tmp_path / "out"), *options])
    assert found.exit_code == code, found.output
    assert verdict in found.output
    assert "0.61 (0.50-0.70)" in found.output
    assert "1.50 proved of 2.00 claimed" in " ".join(found.output.split())
    plan = asked[0].plan
    assert (plan.target_epsilon, plan.rounds, plan.delta, asked[0].canaries) == (2.0, 5, 0.002, 12)


@pytest.mark.parametrize(
    ("option", "where"),
    [
        (["--epsilon", "-1"], "plan.target_epsilon"),
        (["--set", "canaries=3"], "canaries"),
        (["--set", "shadow=8"], "shadow"),
        (["--set", "targets"], "targets"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_written(tmp_path: Path, option: list[str], where: str) -> None:
    app = typer.Typer()
    app.command()(audit)
    with pytest.raises(InputError) as failed:
        CliRunner().invoke(app, [str(tmp_path), "--out", str(tmp_path / "out"), *option], catch_exceptions=False)
    assert where in failed.value.where
    assert not (tmp_path / "out").exists()
