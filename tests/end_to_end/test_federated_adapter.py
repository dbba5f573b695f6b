"""Sites train an adapter together: in a simulation, over a socket, and as processes on the loopback address."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from adapter_sites import TRAINER, make_site, make_start
from network import Network
from real_federation import RealFederation
from tiny_llama import NAME, make_model, write_model

from client.envelope import TEXT, TRAIN, Envelope
from client.ledger import Ledger
from client.site import Site, answer_envelope
from client.wire import receive, send
from fedpsma.contract import ORDER, REFUSAL, REPORT, RoundOrder, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import base_path, load_checkpoint
from server.simulation import SimulationConfig, simulate
from server.simulation.page import write_report
from server.simulation.report import baselines, make_report

PATIENTS = {f"p{number}": 2 for number in range(8)}
PLAN = TrainingPlan(
    rounds=2, steps_per_round=3, patients_per_step=4, learning_rate=0.05, optimizer="adam", delta=0.05, seed=5
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEDPSMA_CACHE", str(tmp_path / "cache"))
    return write_model(tmp_path / "cache" / NAME).parent


@pytest.fixture
def config(cache: Path, tmp_path: Path) -> SimulationConfig:
    return SimulationConfig(
        datasets=tuple(make_site(tmp_path / name, name, PATIENTS, seed) for seed, name in enumerate("AB", start=1)),
        out=tmp_path / "run",
        plan=PLAN.model_copy(update={"target_epsilon": None}),
        init=make_start(tmp_path / "start.safetensors"),
        trainer=TRAINER,
        held_out=0.25,
    )


def test_a_simulation_trains_compares_and_judges_adapters(config: SimulationConfig) -> None:
    config = config.model_copy(update={"compare": True})
    simulate(config)
    for one in baselines(config).values():
        simulate(one)
    report = make_report(config)
    losses = {line.name: line.judgement.together.of(report.yardstick.measures[0]).value for line in report.models}
    assert list(losses) == ["starting weights", "shared model", "pooled patients", "A alone", "B alone"]
    start, *trained = (float(value or 0) for value in losses.values())
    assert max(trained) < 0.9 * start
    assert [line.held_out for line in report.sites] == [2, 2]
    page = write_report(config.out, report).read_text("utf-8")
    assert "loss on held-out patients" in page
    assert "No clinician has judged any sentence" in page
    assert "lesion" not in page
    model = load_checkpoint(config.out / "model" / "model.safetensors")
    assert model.card.network == load_checkpoint(config.init).card.network


def test_the_same_seed_gives_the_same_adapter_and_privacy_is_charged_by_patient(config: SimulationConfig) -> None:
    private = config.model_copy(update={"plan": PLAN})
    first = simulate(private)
    again = simulate(private.model_copy(update={"out": config.out.with_name("again")}))
    assert first.model_sha256 == again.model_sha256
    for site in first.sites:
        assert site.epsilon is not None
        assert 0 < site.epsilon <= 8.0
        charged = Ledger(config.out / "sites" / site.site / "ledger.jsonl").history()
        # Six patients train, whatever the number of their sentences, and four are expected in a step.
        assert [charge.sample_rate for charge in charged if charge] == [pytest.approx(4 / 6)] * 2


def test_weights_of_another_kind_are_refused_before_anything_is_trained(config: SimulationConfig) -> None:
    with pytest.raises(InputError, match="holds a lesion network, no adapter"):
        simulate(config.model_copy(update={"init": base_path()}))
    with pytest.raises(InputError, match="holds an adapter of the language model tiny-llama, no lesion network"):
        SimulationConfig.model_validate(config.model_dump() | {"trainer": None}).subject.require(
            load_checkpoint(config.init).card.network, where="init"
        )
    with pytest.raises(InputError, match="pairs have no tracer"):
        simulate(
            config.model_copy(update={"out": config.out / "x"}).model_validate(
                config.model_dump() | {"partition": "tracer"}
            )
        )


@pytest.fixture
def site(config: SimulationConfig, tmp_path: Path) -> Site:
    made = Site("A", config.datasets[0], tmp_path / "state")
    made.state.mkdir()
    policy = f'epsilon_budget = 99.0\nallow_fixed_seed = true\ntrainer = "{TRAINER}"\n'
    (made.state / "site.toml").write_text(policy, "utf-8")
    return made


def _order(network: dict[str, object]) -> dict[str, dict[str, str]]:
    order = RoundOrder(run="r", round=1, plan=PLAN, network=network)
    return {ORDER: {TEXT: order.model_dump_json()}}


def _over_the_wire(envelope: Envelope) -> tuple[Envelope, int]:
    """Send a message through a socket and return it as it arrives, with the bytes that passed."""
    ours, theirs = socket.socketpair()
    inner, outer = socket.socketpair()
    passed = 0
    sender = Thread(target=lambda: (send(ours, envelope), ours.close()))
    sender.start()

    def relay() -> None:
        nonlocal passed
        while content := theirs.recv(65536):
            passed += len(content)
            inner.sendall(content)
        inner.close()

    relaying = Thread(target=relay)
    relaying.start()
    found = receive(outer)
    sender.join()
    relaying.join()
    theirs.close()
    outer.close()
    return found, passed


def test_nothing_but_lora_matrices_passes_the_wire_in_either_direction(config: SimulationConfig, site: Site) -> None:
    start = load_checkpoint(config.init)
    network = start.card.network.model_dump(mode="json")
    asked, asked_bytes = _over_the_wire(Envelope(TRAIN, _order(network), start.weights))
    answered, answered_bytes = _over_the_wire(answer_envelope(site, asked))
    assert set(answered.records) == {REPORT}
    numbers = sum(array.size for array in start.weights.values())
    base = sum(value.numel() for value in make_model().parameters())
    for envelope, size in ((asked, asked_bytes), (answered, answered_bytes)):
        assert {name: (array.shape, array.dtype) for name, array in envelope.arrays.items()} == {
            name: (array.shape, np.dtype(np.float32)) for name, array in start.weights.items()
        }
        assert all("lora_" in name for name in envelope.arrays)
        # The numbers, and some text that names them: far less than the language model has.
        assert 4 * numbers < size < 4 * numbers + 4000
        assert size < base
    report = json.loads(answered.records[REPORT][TEXT])
    assert report.keys() == {"site", "round", "epsilon", "delta", "noise_multiplier", "steps", "seconds"}
    assert report["seconds"] is None, "how long it took would tell how many patients were drawn"
    sentences = (site.dataset / "train.jsonl").read_text("utf-8")
    assert json.loads(sentences.splitlines()[0])["answer"] not in json.dumps(dict(answered.records))


def test_a_site_refuses_an_order_for_a_lesion_network_and_charges_nothing(config: SimulationConfig, site: Site) -> None:
    weights = load_checkpoint(config.init).weights
    answered = answer_envelope(site, Envelope(TRAIN, _order({}), weights))
    assert json.loads(answered.records[REFUSAL][TEXT])["reason"] == "plan_not_allowed"
    assert "holds a lesion network, no adapter of a language model" in (site.state / "errors.log").read_text("utf-8")
    assert not (site.dataset / "ledger.jsonl").exists()


@pytest.fixture
def federation(tmp_path: Path, cache: Path) -> Iterator[RealFederation]:
    with closing(RealFederation(tmp_path, Network("the loopback address is enough"))) as real:
        real.init()
        make_start(tmp_path / "start.safetensors")
        for seed, name in enumerate(("north", "south"), start=1):
            corpus = make_site(tmp_path / name, name, PATIENTS, seed)
            said = real.call("site", "init", corpus, "--state", real.state(name), "--trainer", TRAINER)
            real.change_policy(name, lambda text: "allow_fixed_seed = true\n" + text.replace("8.0", "1000.0"))
            real.admit(name, said.split("read aloud:")[1].split()[0])
            real.join(name)
        real.up()
        for name in ("north", "south"):
            real.take_part(name)
        yield real


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_real_sites_train_the_adapter_that_a_simulation_gives(federation: RealFederation, tmp_path: Path) -> None:
    given = [f"plan.{name}={json.dumps(value)}" for name, value in PLAN.model_dump(exclude_defaults=True).items()]
    settings = [part for one in [*given, "init=start.safetensors"] for part in ("--set", one)]
    federation.call("federation", "run", "first", *settings)
    federation.wait_for(lambda: federation.standing("first") in ("finished", "failed"), "the end")
    assert federation.standing("first") == "finished", federation.all_logs()
    federation.call("federation", "export", "first", "--out", "model")
    exported = load_checkpoint(tmp_path / "model" / "model.safetensors")
    simulated = simulate(
        SimulationConfig(
            datasets=(tmp_path / "north", tmp_path / "south"),
            out=tmp_path / "simulated",
            plan=PLAN,
            init=tmp_path / "start.safetensors",
            trainer=TRAINER,
        )
    )
    assert exported.card.sha256 == simulated.model_sha256
    assert exported.card.epsilon is not None
    for name in ("north", "south"):
        assert len(Ledger(tmp_path / name / "ledger.jsonl").history()) == PLAN.rounds
    said = federation.call("report", "adapter", "unpack", "model/model.safetensors", "--out", "adapter")
    assert "written to adapter" in said
