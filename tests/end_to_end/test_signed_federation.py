"""A real federation but for the network: a coordinator that signs, and stewards behind shims that check and sign."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_coordinator import GENEROUS
from tiny_trainer import make_checkpoint, make_sites

from client.app import app as client_app
from client.ledger import Ledger
from client.steward.home import SiteHome
from client.steward.joining import make_site
from client.steward.listener import Listener
from client.steward.steward import Steward
from fedpsma.contract import Federation, FederationSite, TrainingPlan
from fedpsma.joining.keys import make_signing_key
from fedpsma.joining.records import JoinBundle
from fedpsma.model.checkpoint import load_checkpoint
from server.engines.inprocess import InProcessGrid
from server.flower import INTERRUPTED, Link, context_of, take_identity
from server.rounds import run_rounds
from server.run_folder import RunFolder, RunRules

NAMES = ("north", "south", "west")
PLAN = TrainingPlan(rounds=2, min_sites=2)


@pytest.fixture
def bundle(tmp_path: Path) -> JoinBundle:
    key = make_signing_key(tmp_path / "coordinator.key")
    return JoinBundle(
        federation="prostate", address="127.0.0.1:1", ca_certificate="", coordinator_key=key, app_sha256="ab" * 32
    )


@pytest.fixture
def homes(tmp_path: Path, bundle: JoinBundle) -> dict[str, SiteHome]:
    made = {}
    for name, dataset in zip(NAMES, make_sites(tmp_path / "data", NAMES), strict=True):
        home = SiteHome(tmp_path / name)
        make_site(home, dataset)
        (home.folder / "site.toml").write_text(f'dataset = "{dataset}"\n{GENEROUS}', "utf-8")
        bundle.write(home.bundle_path)
        made[name] = home
    return made


@pytest.fixture
def listening(homes: dict[str, SiteHome]) -> Iterator[None]:
    listeners = [Listener(home.socket_path, Steward(home).answer) for home in homes.values()]
    yield
    for listener in listeners:
        listener.close()


def _run(folder: Path, homes: dict[str, SiteHome], plan: TrainingPlan, keys: dict[str, str] | None = None) -> RunFolder:
    run = RunFolder(folder / "run")
    admitted = keys or {name: home.request().signing_key for name, home in homes.items()}
    federation = Federation(
        run="0123456789abcdef",
        sites=tuple(FederationSite(name=name, key=key) for name, key in admitted.items()),
        name="prostate",
        signing_key=folder / "coordinator.key",
    )
    run.prepare(plan, federation, load_checkpoint(make_checkpoint(folder / "initial.safetensors")), RunRules())
    take_identity()
    INTERRUPTED.clear()
    contexts = {
        number: context_of(number, {"steward": str(home.socket_path)}, {"run-folder": "/nowhere"})  # type: ignore[dict-item]
        for number, home in enumerate(homes.values(), start=1)
    }
    run_rounds(Link(InProcessGrid(client_app, contexts), INTERRUPTED), run.path)
    return run


def _reasons(run: RunFolder) -> list[tuple[int | None, str | None, str | None]]:
    events, _ = run.events.read()
    return [(event.round, event.site, event.reason) for event in events if event.reason]


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("secure", [False, True])
def test_two_rounds_are_trained_and_paid_at_every_site(
    secure: bool, tmp_path: Path, homes: dict[str, SiteHome]
) -> None:
    hidden = {"secure_aggregation": {}, "min_sites": 3} if secure else {}
    run = _run(tmp_path, homes, TrainingPlan.model_validate({**PLAN.model_dump(), **hidden}))
    assert _reasons(run) == []
    trained = load_checkpoint(run.model_path).weights
    assert not np.array_equal(trained["layer"], load_checkpoint(run.initial_path).weights["layer"])
    for name in NAMES:
        ledger = Ledger(tmp_path / "data" / f"data_{name}" / "ledger.jsonl")
        assert [entry.key.round for entry in ledger.charged() if entry.key] == [1, 2]


@pytest.mark.usefixtures("listening")
def test_a_site_with_another_key_than_the_admitted_one_does_not_count(
    tmp_path: Path, homes: dict[str, SiteHome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.roll_call.ARRIVAL_S", 0.5)
    keys = {name: home.request().signing_key for name, home in homes.items()}
    run = _run(tmp_path, homes, PLAN, {**keys, "west": "ab" * 32})
    assert set(_reasons(run)) == {(None, "west", "key_not_trusted")}
    assert not (tmp_path / "data" / "data_west" / "ledger.jsonl").exists()


@pytest.mark.usefixtures("listening")
def test_a_site_that_joined_another_coordinator_takes_no_part(
    tmp_path: Path, homes: dict[str, SiteHome], bundle: JoinBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.roll_call.ARRIVAL_S", 0.5)
    other = make_signing_key(tmp_path / "other.key")
    changed = bundle.model_copy(update={"coordinator_key": other})
    changed.write(homes["west"].bundle_path)
    listener = Listener(homes["west"].socket_path, Steward(homes["west"]).answer)
    run = _run(tmp_path, homes, PLAN)
    listener.close()
    assert set(_reasons(run)) == {(None, "west", "key_not_trusted")}
    assert not (tmp_path / "data" / "data_west" / "ledger.jsonl").exists()
