"""One round of an adapter at one site: the patient is the unit, and nothing but LoRA matrices comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from adapter_sites import make_site, make_start
from tiny_llama import NAME, write_model

from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import Checkpoint, Weights, load_checkpoint
from fedpsma.model.config import AdapterConfig, NetworkConfig
from fedpsma.training.descent import Descent
from fedpsma.training.trainer import SpentOtherwiseError, TrainingTask
from reporting.llm import federated
from reporting.llm.adapter import load_adapter
from reporting.llm.lora import answer_loss, encode
from reporting.llm.pairs import SitePairs

# Every patient takes part in each step and shows all that he has; without noise.
WHOLE = TrainingPlan(
    rounds=1,
    steps_per_round=1,
    patients_per_step=99,
    patches_per_patient=99,
    learning_rate=1.0,
    target_epsilon=None,
    seed=1,
)
SENTENCES = {"p1": 1, "p2": 9, "p3": 3}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with the tiny model, as a site brings its own."""
    monkeypatch.setenv("FEDPSMA_CACHE", str(tmp_path / "cache"))
    return write_model(tmp_path / "cache" / NAME).parent


@pytest.fixture
def start(cache: Path, tmp_path: Path) -> Checkpoint:
    return load_checkpoint(make_start(tmp_path / "start.safetensors"))


@pytest.fixture
def pairs(tmp_path: Path) -> SitePairs:
    return federated.subject().open(make_site(tmp_path / "site", "A", SENTENCES))


def task_of(start: Checkpoint, pairs: SitePairs, plan: TrainingPlan) -> TrainingTask[SitePairs]:
    network = start.card.network.model_dump(mode="json")
    return TrainingTask(start.weights, pairs, plan, 1, "A", network, federated.cost(pairs, plan), ())


def update_of(start: Checkpoint, trained: Weights) -> Weights:
    return {name: trained[name] - array for name, array in start.weights.items()}


def length(update: Weights) -> float:
    return float(np.sqrt(sum(np.square(array, dtype=np.float64).sum() for array in update.values())))


def test_only_lora_matrices_come_out_and_of_them_the_second_ones_are_trained(start, pairs):
    trained = federated.train(task_of(start, pairs, WHOLE))
    assert {name: array.shape for name, array in trained.items()} == {n: a.shape for n, a in start.weights.items()}
    assert len(trained) == 2 * 2 * 2
    assert all("lora_" in name for name in trained)
    moved = {name for name, array in update_of(start, trained).items() if array.any()}
    assert moved == {name for name in trained if "lora_B" in name}
    again = federated.train(task_of(start.model_copy(update={"weights": trained}), pairs, WHOLE))
    whole = WHOLE.model_copy(update={"scope": "all"})
    both = federated.train(task_of(start.model_copy(update={"weights": again}), pairs, whole))
    assert all((both[name] != again[name]).any() for name in both)


def test_a_step_is_the_mean_of_one_clipped_gradient_a_patient(start, pairs):
    plan = WHOLE.model_copy(update={"clip_norm": 0.01})
    update = update_of(start, federated.train(task_of(start, pairs, plan)))
    loaded = load_adapter(start.card.network, start.weights)
    trained = loaded.trained("adaptive")
    expected = {name: np.zeros(value.shape) for name, value in trained.items()}
    for examples in pairs.by_patient().values():
        rows = [encode(vars(example), loaded.tokenizer) for example in examples]
        loss = answer_loss(loaded.model, rows, loaded.tokenizer.pad_token_id)
        gradients = torch.autograd.grad(loss, list(trained.values()))
        norm = float(torch.cat([part.double().flatten() for part in gradients]).norm())
        assert norm > plan.clip_norm, "else nothing would be clipped"
        for name, part in zip(trained, gradients, strict=True):
            expected[name] -= part.numpy() * (plan.clip_norm / norm) / len(SENTENCES)
    for name, mean in expected.items():
        assert np.allclose(update[name], mean, atol=1e-6)
    assert length(update) <= plan.clip_norm * (1 + 1e-6)


def test_many_sentences_of_one_patient_weigh_no_more_than_one(start, tmp_path):
    """Ninety sentences or one: what a patient can move is the clip norm over the patients of a step."""
    plan = WHOLE.model_copy(update={"clip_norm": 0.01})
    without = federated.subject().open(make_site(tmp_path / "without", "A", {"p1": 2, "p2": 2}))
    base = federated.train(task_of(start, without, plan))
    extra = make_site(tmp_path / "extra", "A", {"p3": 30}, seed=9)
    lines = (without.folder / "train.jsonl").read_text("utf-8") + (extra / "train.jsonl").read_text("utf-8")
    (extra / "train.jsonl").write_text(lines, "utf-8")
    more = federated.train(task_of(start, federated.subject().open(extra), plan))
    # Means over two and over three patients, so sums are compared.
    moved = {name: 3 * update_of(start, more)[name] - 2 * update_of(start, base)[name] for name in base}
    assert length(moved) <= plan.clip_norm * (1 + 1e-4)


def test_the_same_seed_gives_the_same_bits_and_the_noise_is_that_of_the_charge(start, pairs, monkeypatch):
    plan = WHOLE.model_copy(update={"target_epsilon": 8.0, "delta": 0.1, "patients_per_step": 1.0})
    one, two = (federated.train(task_of(start, pairs, plan)) for _ in range(2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    other = federated.train(task_of(start, pairs, plan.model_copy(update={"seed": 2})))
    assert any(not np.array_equal(one[name], other[name]) for name in one)
    steps: list[torch.Tensor] = []
    monkeypatch.setattr(Descent, "step", lambda _, gradient: steps.append(gradient))
    rare = plan.model_copy(update={"patients_per_step": 1e-9})
    task = task_of(start, pairs, rare)
    federated.train(task)
    expected = task.charge.noise_multiplier * plan.clip_norm / 1e-9
    assert float(steps[0].std()) == pytest.approx(expected, rel=0.2)


def test_what_was_charged_is_what_is_spent(start, pairs):
    plan = WHOLE.model_copy(update={"target_epsilon": 8.0, "delta": 0.1})
    task = task_of(start, pairs, plan)
    with pytest.raises(SpentOtherwiseError):
        federated.train(replace(task, charge=None))
    cheaper = task.charge.model_copy(update={"noise_multiplier": 2 * task.charge.noise_multiplier})
    with pytest.raises(SpentOtherwiseError):
        federated.train(replace(task, charge=cheaper))


def test_a_site_with_another_language_model_or_none_refuses(start, pairs, cache):
    write_model(cache / NAME, seed=6)
    for refused in (lambda: federated.train(task_of(start, pairs, WHOLE)), lambda: require(start)):
        with pytest.raises(InputError, match="is another model than the adapter's"):
            refused()
    (cache / NAME).rename(cache / "away")
    with pytest.raises(InputError, match="is not on this machine"):
        federated.train(task_of(start, pairs, WHOLE))


def require(start: Checkpoint) -> None:
    """Ask as a site does before it charges anything."""
    federated.subject().require(start.card.network, where="the order")


def test_the_name_of_a_model_is_no_path():
    with pytest.raises(ValueError, match="pattern"):
        AdapterConfig(base="../elsewhere", base_sha256="0", rank=1, alpha=1, targets=("q_proj",))


def test_weights_of_another_kind_are_refused_in_one_line():
    with pytest.raises(InputError, match="holds a lesion network, no adapter of a language model"):
        federated.subject().require(NetworkConfig(), where="init")


def test_weights_that_do_not_fit_the_model_are_refused(start):
    (name, array), *_ = start.weights.items()
    with pytest.raises(InputError, match="lacks the parameter"):
        load_adapter(start.card.network, {one: start.weights[one] for one in start.weights if one != name})
    with pytest.raises(InputError, match="not finite"):
        load_adapter(start.card.network, {**start.weights, name: np.full_like(array, np.nan)})


def test_the_judged_loss_is_the_mean_over_the_tokens_of_all_sentences(start, pairs):
    subject, seen = federated.subject(), []
    figures = subject.figures(subject.score(start, pairs, lambda: seen.append(1)))
    assert (figures.patients, figures.counted, len(seen)) == (3, 13, 13)
    loaded = load_adapter(start.card.network, start.weights)
    rows = [encode(vars(example), loaded.tokenizer) for example in pairs.examples]
    together = float(answer_loss(loaded.model, rows, loaded.tokenizer.pad_token_id))
    loss = figures.of(subject.yardstick.measures[0])
    assert loss.value == pytest.approx(together, rel=1e-4)
    assert loss.low < loss.value < loss.high
