"""In a real federation every order is signed for one site and one round, and only signed replies count."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import ConfigRecord, Message, RecordDict
from packed_record import arrays_in, packed_record
from tiny_trainer import make_checkpoint

import server.roll_call
from fedpsma.contract import Federation, FederationSite, RoundOrder, SiteReport, TrainingPlan
from fedpsma.joining.keys import make_signing_key
from fedpsma.joining.signatures import Statement, arrays_sha256, is_signed, sign
from fedpsma.model.checkpoint import load_checkpoint
from server.engines.inprocess import InProcessGrid
from server.flower import Link, context_of, take_identity
from server.rounds import run_rounds
from server.run_folder import RunFolder, RunRules

NAMES = ("A", "B", "C")


class _Sites:
    """Sites in this process that check what they get and sign what they send; ``faults`` bends a statement."""

    def __init__(self, folder: Path) -> None:
        self.keys = {name: Ed25519PrivateKey.generate() for name in NAMES}
        self.coordinator = make_signing_key(folder / "coordinator.key")
        self.faults: dict[str, dict[str, object]] = {}
        self.seen: list[tuple[str, int]] = []

    def public(self, name: str) -> str:
        return self.keys[name].public_key().public_bytes_raw().hex()

    def answer(self, message: Message, name: str) -> Message:
        kind = message.metadata.message_type
        content = self._name(message, name) if kind == "query.identify" else self._train(message, name)
        return Message(content, reply_to=message)

    def _name(self, message: Message, name: str) -> RecordDict:
        asked = message.content["site"]
        question = Statement("question", "prostate", "", 0, "", str(asked["json"]))
        assert is_signed(question, str(asked["signature"]), self.coordinator)
        statement = Statement("answer", "prostate", "", 0, name, question.content)
        key = self.keys["A" if "stolen name" in self.faults.get(name, {}) else name]
        return RecordDict({"site": ConfigRecord({"name": name, "signature": sign(statement, key)})})

    def _train(self, message: Message, name: str) -> RecordDict:
        asked, weights = message.content["order"], arrays_in(message)
        order = RoundOrder.model_validate_json(str(asked["json"]))
        statement = Statement("order", "prostate", "run", order.round, name, str(asked["json"]), arrays_sha256(weights))
        assert is_signed(statement, str(asked["signature"]), self.coordinator)
        assert order.issued is not None
        self.seen.append((name, order.round))
        report = SiteReport(site=name, round=order.round, epsilon=1.0, delta=0.01, noise_multiplier=1.0, steps=8)
        trained = {key: array + np.float32(1) for key, array in weights.items()}
        fields = {"kind": "report", "federation": "prostate", "run": "run", "round": order.round, "site": name}
        signed = {**fields, "content": report.model_dump_json(), "weights_sha256": arrays_sha256(trained)}
        bent = {key: value for key, value in self.faults.get(name, {}).items() if key in signed}
        signature = sign(Statement(**{**signed, **bent}), self.keys[str(self.faults.get(name, {}).get("key", name))])  # type: ignore[arg-type]
        record = ConfigRecord({"json": report.model_dump_json(), "signature": signature})
        return RecordDict({"report": record, "weights": packed_record(trained)})


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Sites:
    monkeypatch.setattr(server.roll_call, "ARRIVAL_S", 0.0)
    take_identity()
    return _Sites(tmp_path)


def _run(sites: _Sites, folder: Path) -> RunFolder:
    admitted = tuple(FederationSite(name=name, key=sites.public(name)) for name in NAMES)
    federation = Federation(run="run", sites=admitted, name="prostate", signing_key=folder / "coordinator.key")
    run = RunFolder(folder / "run")
    initial = load_checkpoint(make_checkpoint(folder / "initial.safetensors"))
    run.prepare(TrainingPlan(rounds=2), federation, initial, RunRules())
    contexts = {number: context_of(number, {}, {}) for number in range(1, 4)}
    app = lambda message, context: sites.answer(message, NAMES[context.node_id - 1])  # noqa: E731
    run_rounds(Link(InProcessGrid(app, contexts), threading.Event()), run.path)
    return run


def _set_aside(run: RunFolder) -> set[tuple[str | None, str | None]]:
    return {(event.site, event.reason) for event in run.events.read()[0] if event.reason}


def test_signed_orders_and_reports_make_a_model(sites: _Sites, tmp_path: Path) -> None:
    run = _run(sites, tmp_path)
    assert sorted(sites.seen) == [(name, number) for name in NAMES for number in (1, 2)]
    assert _set_aside(run) == set()
    assert run.last_state().round == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"key": "A"},
        {"round": 9},
        {"run": "another"},
        {"federation": "another"},
        {"site": "A"},
        {"content": "{}"},
        {"weights_sha256": "00"},
        {"kind": "answer"},
    ],
)
def test_a_report_that_its_site_did_not_sign_does_not_count(
    sites: _Sites, tmp_path: Path, fault: dict[str, object]
) -> None:
    sites.faults["B"] = fault
    run = _run(sites, tmp_path)
    assert _set_aside(run) == {("B", "key_not_trusted")}
    assert run.last_state().sites.keys() == {"A", "C"}


def test_who_cannot_sign_for_a_name_is_not_asked(sites: _Sites, tmp_path: Path) -> None:
    sites.faults["B"] = {"stolen name": True}
    run = _run(sites, tmp_path)
    assert _set_aside(run) == {("B", "key_not_trusted")}
    assert {name for name, _ in sites.seen} == {"A", "C"}


def test_a_lost_signing_key_ends_the_run_before_anybody_is_asked(sites: _Sites, tmp_path: Path) -> None:
    (tmp_path / "coordinator.key").write_bytes(b"short")
    with pytest.raises(Exception, match="holds no signing key"):
        _run(sites, tmp_path)
    assert sites.seen == []
