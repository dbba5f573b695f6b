"""What limits a round: everything the patients paid before, wherever and for whom, at the strictest delta promised."""

from __future__ import annotations

import random
import shutil
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
import tiny_trainer
from tiny_trainer import make_sites

from client.fingerprint import code_hash
from client.ledger import Ledger, LedgerError, RoundKey
from client.payment import Account, ledger_of, open_account
from client.policy import SitePolicy
from client.refusal import RefusalError
from client.site import Site, answer_order
from fedpsma.contract import RoundOrder, SiteRefusal, TrainingPlan
from fedpsma.io.dataset import Dataset, read_dataset
from fedpsma.training.charge import Charge
from fedpsma.training.trainer import Trainer

ROUND_COST = 2.0
TRAINER: Trainer = tiny_trainer  # type: ignore[assignment]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return read_dataset(make_sites(tmp_path, ["A"])[0])


def _order(number: int = 1, run: str = "r", **plan: object) -> RoundOrder:
    return RoundOrder(run=run, round=number, plan=TrainingPlan.model_validate(plan))


def _account(dataset: Dataset, state: Path, order: RoundOrder | None = None, **policy: object) -> Account:
    given = SitePolicy.model_validate({"epsilon_budget": inf, **policy})
    return open_account(given, TRAINER, state, dataset, order or _order())


def test_an_entry_says_all_that_an_auditor_needs(dataset: Dataset, tmp_path: Path) -> None:
    account = _account(dataset, tmp_path / "s")
    account.pay(_order(3, delta=0.05), "a" * 64)
    (entry,) = account.ledger.charged()
    assert entry.charge == Charge(sample_rate=0.5, noise_multiplier=2.0, steps=8)
    assert entry.key is not None
    assert (entry.key.run, entry.key.round, entry.key.model_sha256) == ("r", 3, "a" * 64)
    assert (entry.key.delta, entry.key.accountant, entry.key.app_sha256) == (0.05, "tiny", code_hash())
    assert len(entry.key.patients_sha256 or "") == 64
    assert "A-p1" not in account.ledger.path.read_text("utf-8")


def test_two_projects_with_state_folders_of_their_own_share_the_budget_of_the_patients(
    dataset: Dataset, tmp_path: Path
) -> None:
    for number, state in enumerate(("north", "south", "north"), start=1):
        paid = _account(dataset, tmp_path / state, epsilon_budget=3.5 * ROUND_COST).pay(_order(number, state), "")
        assert paid.epsilon == pytest.approx(number * ROUND_COST)
    with pytest.raises(RefusalError, match="budget_exceeded"):
        _account(dataset, tmp_path / "west", epsilon_budget=3.5 * ROUND_COST).pay(_order(1, "west"), "")


def test_a_preview_refuses_without_charging(dataset: Dataset, tmp_path: Path) -> None:
    account = _account(dataset, tmp_path / "s", epsilon_budget=1.5 * ROUND_COST)
    account.preview(_order())
    account.pay(_order(), "")
    with pytest.raises(RefusalError, match="budget_exceeded"):
        account.preview(_order(2))
    assert len(account.ledger.charged()) == 1


class _DeltaTrainer:
    """An accountant whose loss depends on delta, as every real one's does."""

    cost = staticmethod(tiny_trainer.cost)
    accountant = staticmethod(tiny_trainer.accountant)
    train = staticmethod(tiny_trainer.train)

    @staticmethod
    def epsilon(history: list[Charge], delta: float) -> float:
        return len(history) * float(np.log(1 / delta))


def _delta_account(dataset: Dataset, state: Path, order: RoundOrder, budget: float, **policy: object) -> Account:
    given = SitePolicy.model_validate({"epsilon_budget": budget, **policy})
    return open_account(given, _DeltaTrainer(), state, dataset, order)


def test_a_coordinator_cannot_stretch_the_budget_with_a_larger_delta(dataset: Dataset, tmp_path: Path) -> None:
    strict, lax = _order(1, delta=1e-4), _order(2, delta=0.05)
    _delta_account(dataset, tmp_path / "s", strict, 10.0).pay(strict, "")
    with pytest.raises(RefusalError, match="budget_exceeded"):
        _delta_account(dataset, tmp_path / "s", lax, 10.0).pay(lax, "")
    assert 2 * np.log(1 / 0.05) < 10, "at its own delta the second round would have passed"


def test_the_delta_of_the_policy_holds_where_it_is_stricter(dataset: Dataset, tmp_path: Path) -> None:
    order = _order(delta=0.05)
    with pytest.raises(RefusalError, match="budget_exceeded"):
        _delta_account(dataset, tmp_path / "s", order, 5.0, delta=1e-4).pay(order, "")
    paid = _delta_account(dataset, tmp_path / "s", order, 5.0).pay(order, "")
    assert paid.epsilon == pytest.approx(np.log(20)), "what is reported is at the plan's delta"


def test_a_loss_that_is_no_number_is_within_no_budget(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_trainer, "epsilon", lambda history, delta: nan)
    account = _account(dataset, tmp_path / "s")
    with pytest.raises(RefusalError, match="budget_exceeded"):
        account.pay(_order(), "")
    assert account.ledger.charged() == ()


def test_simulated_rounds_count_for_a_real_run_unless_the_site_says_otherwise(dataset: Dataset, tmp_path: Path) -> None:
    _account(dataset, tmp_path / "simulated", simulated=True).pay(_order(1, "simulation"), "")
    budget = 1.5 * ROUND_COST
    with pytest.raises(RefusalError, match="budget_exceeded"):
        _account(dataset, tmp_path / "real", epsilon_budget=budget).pay(_order(), "")
    paid = _account(dataset, tmp_path / "real", epsilon_budget=budget, count_simulations=False).pay(_order(), "")
    assert paid.epsilon == pytest.approx(ROUND_COST)


def test_the_policy_can_name_another_place(dataset: Dataset, tmp_path: Path) -> None:
    policy = SitePolicy(epsilon_budget=1, ledger=Path("../ours.jsonl"))
    assert ledger_of(policy, tmp_path / "s", dataset.folder).path.resolve() == (tmp_path / "ours.jsonl").resolve()
    assert ledger_of(SitePolicy(epsilon_budget=1), tmp_path, dataset.folder).path.parent == dataset.folder


@pytest.mark.parametrize("same_patients", [True, False])
def test_a_state_folder_that_names_new_data_has_the_way_on_that_the_docs_describe(
    tmp_path: Path, same_patients: bool
) -> None:
    state, (old, new) = tmp_path / "s", map(read_dataset, make_sites(tmp_path, ["A", "B"]))
    state.mkdir()
    _account(old, state).pay(_order(), "")
    with pytest.raises(LedgerError, match=r"bring back what was lost, or, .* see docs/privacy-ledger\.md"):
        _account(new, state).pay(_order(2), "")
    if same_patients:
        shutil.copy(old.folder / "ledger.jsonl", new.folder)
    else:
        (state / "ledger.anchor").unlink()
    paid = _account(new, state).pay(_order(2), "")
    assert paid.epsilon == pytest.approx(ROUND_COST * (2 if same_patients else 1))
    with pytest.raises(LedgerError, match=r"bring .*back.* see docs/privacy-ledger\.md"):
        _account(old, state).pay(_order(3), "")


def test_where_nothing_can_be_written_nothing_is_trained(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(LedgerError, match="cannot be written"):
        _account(dataset, tmp_path / "s", ledger=tmp_path / "file" / "l.jsonl").pay(_order(), "")


@pytest.mark.slow
def test_of_a_thousand_histories_no_round_past_the_budget_computes_a_gradient(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    monkeypatch.setattr(tiny_trainer, "train", lambda task: trained.append(task.round) or dict(task.weights))
    # What is tried here is who pays, not the disk.
    monkeypatch.setattr("os.fsync", lambda _: None)
    rng = random.Random(4)
    weights = {"layer": np.ones(2, np.float32)}
    site = Site("A", dataset.folder, tmp_path / "state")
    key = RoundKey(run="before", round=1, model_sha256="", delta=0.01)
    for _ in range(1000):
        path = dataset.folder / "ledger.jsonl"
        path.unlink(missing_ok=True)
        (site.state / "ledger.anchor").unlink(missing_ok=True)
        charges = [
            Charge(sample_rate=rng.uniform(0.01, 1), noise_multiplier=rng.uniform(0.5, 4), steps=rng.randint(1, 50))
            for _ in range(rng.randint(0, 4))
        ]
        for charge in charges:
            Ledger(path).charge(key, charge)
        budget = rng.uniform(0.1, 60)
        site.state.mkdir(exist_ok=True)
        (site.state / "site.toml").write_text(f'epsilon_budget = {budget}\ntrainer = "tiny_trainer"\n', "utf-8")
        trained.clear()
        answer = answer_order(site, _order(), weights)
        affordable = tiny_trainer.epsilon(charges, 0.01) + ROUND_COST <= budget
        assert isinstance(answer, SiteRefusal) is not affordable
        assert bool(trained) is affordable
        assert len(Ledger(path).charged()) == len(charges) + affordable
