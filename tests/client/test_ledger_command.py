"""``fedpsma site ledger``: the account of a data set over runs, projects and restarts, by Opacus on all of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from opacus.accountants import PRVAccountant, RDPAccountant
from tiny_trainer import make_sites, tiny_config
from typer.testing import CliRunner, Result

from client.commands import site as site_commands
from client.ledger import Ledger, RoundKey
from fedpsma.errors import InputError
from fedpsma.io.dataset import read_dataset, write_dataset
from fedpsma.training.charge import Charge
from server.simulation import simulate

HISTORY = [(0.1, 1.2, 40), (0.25, 2.0, 15), (0.1, 1.2, 40), (0.05, 0.9, 100)]


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(site_commands, ["ledger", *map(str, arguments)])


def _charge(ledger: Ledger, run: str, number: int, charge: Charge | None, **key: object) -> None:
    entry = RoundKey.model_validate({"run": run, "round": number, "model_sha256": "0" * 64, **key})
    with ledger.locked():
        ledger.charge(entry, charge)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two projects on one data set, each with a state folder of its own, and one round cut off."""
    (folder,) = make_sites(tmp_path, ["A"])
    for number, (rate, noise, steps) in enumerate(HISTORY):
        project = ("north", "south")[number % 2]
        ledger = Ledger(folder / "ledger.jsonl", tmp_path / project / "ledger.anchor")
        charge = Charge(sample_rate=rate, noise_multiplier=noise, steps=steps)
        _charge(ledger, project, number, charge, delta=(1e-3, 1e-5)[number % 2])
        if number < 3:
            ledger.close(2 * number, "released")
    return folder


def test_the_loss_is_that_of_the_accountants_on_the_concatenated_history(dataset: Path) -> None:
    found = json.loads(_run(dataset, "--json").stdout)
    expected = []
    for accountant in (RDPAccountant(), PRVAccountant()):
        accountant.history = [(noise, rate, steps) for rate, noise, steps in HISTORY]
        expected.append(accountant.get_epsilon(delta=1e-5))
    assert found["epsilon"] == pytest.approx(max(expected), abs=1e-9)
    assert found["delta"] == 1e-5
    assert {run["run"]: (run["rounds"], run["released"], run["unfinished"]) for run in found["runs"]} == {
        "north": (2, 2, 0),
        "south": (2, 1, 1),
    }
    assert all(run["epsilon"] < found["epsilon"] for run in found["runs"])


def test_the_table_names_runs_and_the_budget(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "north" / "site.toml").write_text("epsilon_budget = 4.5\n", "utf-8")
    result = _run(dataset, "--state", tmp_path / "north")
    assert result.exit_code == 0, result.output
    assert "north" in result.output
    assert "federation" in result.output
    assert result.output.splitlines()[-1].endswith("budget 4.5")
    assert "all 4 rounds together: epsilon" in result.output


def test_a_round_without_privacy_shows(dataset: Path) -> None:
    _charge(Ledger(dataset / "ledger.jsonl"), "open", 1, None)
    assert "epsilon no privacy" in _run(dataset).output
    assert json.loads(_run(dataset, "--json").stdout)["epsilon"] is None


def test_a_ledger_that_was_changed_is_one_line(dataset: Path) -> None:
    path = dataset / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b"0.25", b"0.01", 1))
    result = _run(dataset)
    assert isinstance(result.exception, InputError)
    assert "does not follow" in str(result.exception)


def test_a_ledger_whose_end_was_lost_is_one_line(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "north" / "site.toml").write_text("epsilon_budget = 4.5\n", "utf-8")
    (dataset / "ledger.jsonl").unlink()
    result = _run(dataset, "--state", tmp_path / "north")
    assert "has 0 lines" in str(result.exception)


def test_a_delta_that_is_too_small_to_count_with_is_one_line(dataset: Path) -> None:
    result = _run(dataset, "--delta", "1e-14")
    assert isinstance(result.exception, InputError)
    assert "1e-14 is less than the accountants can count with" in str(result.exception)


@pytest.mark.parametrize("place", ["nowhere", "data_A"])
def test_without_a_ledger_it_says_so(tmp_path: Path, place: str) -> None:
    make_sites(tmp_path, ["A"])
    assert "has no ledger" in str(_run(tmp_path / place).exception)


def test_simulations_on_real_patients_add_up_in_one_ledger_and_those_on_phantoms_do_not(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, rounds=1)
    for path in config.datasets[:2]:
        data = read_dataset(path)
        write_dataset(path, data.info.model_copy(update={"synthetic": False}), list(data.rows))
    results = [simulate(config.model_copy(update={"out": tmp_path / name})) for name in ("one", "two")]
    real, phantom = config.datasets[0], config.datasets[2]
    keys = [entry.key for entry in Ledger(real / "ledger.jsonl").charged()]
    assert [(key.simulated, key.round) for key in keys if key] == [(True, 1)] * 2
    assert len({key.run for key in keys if key}) == 2
    assert not (phantom / "ledger.jsonl").exists()
    assert len(Ledger(tmp_path / "two" / "sites" / "B" / "ledger.jsonl").charged()) == 1
    # What a run reports is what its own model costs.
    assert [[site.epsilon for site in result.sites] for result in results] == [[pytest.approx(2.0)] * 3] * 2
