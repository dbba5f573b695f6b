"""A federation of real processes: coordinator, front door, SuperLink, and three sites that train privately."""

from __future__ import annotations

import http.client
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from network import Namespaces, network_of
from real_federation import RealFederation
from small_sites import small_site, untrained
from tiny_trainer import make_checkpoint

from client.ledger import Ledger
from fedpsma.contract import TrainingPlan
from fedpsma.joining.keys import make_node_key
from fedpsma.model.checkpoint import load_checkpoint
from server.simulation import SimulationConfig, simulate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NAMES = ("north", "south", "west")
# With fixed random numbers, which only a site that plays with phantoms should allow.
PLAN = TrainingPlan(rounds=2, delta=0.05, seed=11)
TRAINER = 'trainer = "tiny_trainer"\n'
POLICY = "allow_fixed_seed = true\n"


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealFederation]:
    """Three sites that were admitted, joined and take part, each in a network of its own where that can be had."""
    rng = np.random.default_rng(1)
    with network_of(NAMES) as network, closing(RealFederation(tmp_path_factory.mktemp("f"), network)) as real:
        real.init()
        make_checkpoint(real.folder / "initial.safetensors")
        for name in NAMES:
            fingerprint = real.make_site(name, small_site(real.folder / name, name, rng), TRAINER + POLICY)
            real.admit(name, fingerprint)
            real.join(name)
        real.up()
        for name in NAMES:
            real.take_part(name)
        yield real


def _settings(plan: TrainingPlan = PLAN, initial: str = "initial.safetensors") -> list[str]:
    given = [f"plan.{name}={value}" for name, value in plan.model_dump(exclude_defaults=True).items()]
    return [part for one in [*given, f"init={initial}"] for part in ("--set", one)]


def test_a_site_in_its_own_network_reaches_the_coordinator_and_nobody_else(federation: RealFederation) -> None:
    network = federation.network
    if not isinstance(network, Namespaces):
        pytest.skip(network.why)
    code = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
    there = {
        (host, port): subprocess.run([*network.enter("north"), sys.executable, "-c", code, host, str(port)]).returncode
        for host, port in ((network.host, federation.port), ("192.0.2.1", 443), (network.host[:-1] + "3", 22))
    }
    assert list(there.values()) == [0, 1, 1]


def test_after_a_kill_of_the_server_the_weights_are_those_of_a_simulation(federation: RealFederation) -> None:
    federation.call("federation", "run", "first", *_settings())
    federation.wait_for_event("first", "round_ended", 1)
    federation.kill_superlink()
    federation.wait_for_event("first", "run_resumed")
    federation.wait_for(lambda: federation.standing("first") in ("finished", "failed"), "the end")
    assert federation.standing("first") == "finished", federation.all_logs()

    model = load_checkpoint(federation.home / "runs" / "first" / "model" / "model.safetensors")
    sites = tuple(federation.folder / name for name in NAMES)
    config = SimulationConfig(
        datasets=sites,
        out=federation.folder / "simulated",
        plan=PLAN,
        init=federation.folder / "initial.safetensors",
        trainer="tiny_trainer",
    )
    assert simulate(config).model_sha256 == model.card.sha256
    for name in NAMES:
        charged = Ledger(federation.folder / name / "ledger.jsonl").history()
        real = [entry for entry in charged if entry is not None]
        assert len(real) >= PLAN.rounds, "what was begun stays paid"

    federation.call("federation", "export", "first", "--out", "model")
    said = federation.call("federation", "verify", "model/events.jsonl")
    assert "follow each other" in said
    lines = (federation.folder / "model" / "events.jsonl").read_bytes().split(b"\n")
    (federation.folder / "model" / "events.jsonl").write_bytes(b"\n".join(lines[:2] + lines[3:]))
    federation.call("federation", "verify", "model/events.jsonl", code=2)


def test_a_site_that_is_killed_in_a_round_comes_back(federation: RealFederation) -> None:
    faults = [federation.folder / name / "fault.txt" for name in ("south", "north")]
    for fault in faults:
        fault.write_text("endless", "utf-8")
    federation.call("federation", "run", "killed", *_settings())
    federation.wait_for(lambda: federation.site_is_at("south", 1), "round 1 in the south")
    before = federation.connections("south")
    federation.kill("south")
    faults[0].unlink()
    federation.take_part("south")
    # The round lasts until it is back, however slow the machine is.
    federation.wait_for(lambda: federation.connections("south") > before, "the south")
    faults[1].unlink()
    federation.wait_for_event("killed", "run_ended")
    reported = {
        one.get("round") for one in federation.events("killed") if one.get("site") == "south" and "epsilon" in one
    }
    assert reported, "asked again in the same round, or in the next one"
    charged = Ledger(federation.folder / "south" / "ledger.jsonl")
    assert [entry.kind for entry in charged.entries()].count("charged") > len(reported), "what was begun stays paid"


def test_an_unadmitted_node_and_the_certificate_alone_open_nothing(federation: RealFederation) -> None:
    stranger = federation.folder / "stranger"
    (federation.state("south") / "node.key").rename(stranger)
    try:
        make_node_key(federation.state("south") / "node.key")
        federation.end("south")
        federation.take_part("south")
        log = federation.state("south") / "flower" / "supernode.log"
        size = log.stat().st_size
        federation.wait_for(lambda: log.stat().st_size > size + 200, "the SuperNode's try")
        federation.wait_for(lambda: _refused(log, size), "the refusal")
    finally:
        stranger.replace(federation.state("south") / "node.key")
        federation.end("south")
        federation.take_part("south")
    assert [_knock(federation, *one) for one in ATTACKS] == [404] * len(ATTACKS)


def _refused(log: Path, size: int) -> bool:
    text = log.read_text("utf-8")[size:]
    return "SuperNode ID" not in text and ("401" in text or "ERROR" in text)


ATTACKS = (
    ("POST", "/v1/control/register-node"),
    ("POST", "/v1/control/list-nodes"),
    ("POST", "/v1/control/start-run"),
    ("GET", "/docs"),
)


def _knock(federation: RealFederation, method: str, path: str) -> int:
    """Ask the front door with the certificate of the authority, which everybody may have."""
    context = ssl.create_default_context(cafile=str(federation.home / "authority.crt"))
    connection = http.client.HTTPSConnection(federation.network.host, federation.port, timeout=10, context=context)
    connection.request(method, path, body=b"")
    return connection.getresponse().status


def test_changed_code_waits_for_a_person_and_the_others_train_on(federation: RealFederation) -> None:
    approved = federation.state("west") / "code" / "approved.json"
    before = approved.read_text("utf-8")
    approved.write_text("{}", "utf-8")
    try:
        federation.call("federation", "run", "second", *_settings())
        federation.wait_for_event("second", "round_ended", 1)
    finally:
        approved.write_text(before, "utf-8")
    federation.wait_for_event("second", "run_ended")
    told = {(one.get("site"), one.get("reason")) for one in federation.events("second")}
    assert ("west", "code_not_approved") in told
    assert not told & {("north", "code_not_approved"), ("south", "code_not_approved")}


def test_real_training_spends_the_budget_and_then_a_site_steps_out(federation: RealFederation) -> None:
    """One private round of a small network on small volumes; a policy is read again for every order."""
    untrained(federation.folder / "small.safetensors")
    small = {"rounds": 1, "steps_per_round": 2, "patients_per_step": 2, "patches_per_patient": 1, "patch_voxels": 16}
    plan = TrainingPlan(**small, min_sites=1, delta=0.05, threads=1)  # type: ignore[arg-type]
    for name in NAMES:
        federation.change_policy(name, lambda text: text.replace(TRAINER, "").replace("least = 2", "least = 1"))
    federation.change_policy("west", lambda text: text.replace("epsilon_budget = 1000.0", "epsilon_budget = 0.1"))
    federation.call("federation", "run", "third", *_settings(plan, "small.safetensors"))
    federation.wait_for_event("third", "run_ended")
    events = federation.events("third")
    assert ("west", "budget_exceeded") in {(one.get("site"), one.get("reason")) for one in events}
    paid = {one["site"]: one["epsilon"] for one in events if one["kind"] == "site_reported"}
    assert paid.keys() == {"north", "south"}
    assert all(float(str(epsilon)) > 0 for epsilon in paid.values())
