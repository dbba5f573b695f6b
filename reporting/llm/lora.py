"""Tuning a model to the wording task with LoRA, on one CPU core or a GPU, resumable, reproducible by its seed."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from fedpsma.errors import InputError
from fedpsma.io.files import write_json
from reporting.llm.corpus import Example, draw_examples, read_corpus
from reporting.llm.loading import ADAPTER_WEIGHTS, load_base
from reporting.llm.prompts import messages

Progress = Callable[[int, int, float], None]
IGNORED = -100
_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_STATE = "training.pt"
ADAPTER_CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class TuningPlan:
    """The recipe; one sentence of the corpus is seen once, so ``steps * batch`` sentences are drawn."""

    steps: int = 450
    batch: int = 4
    learning_rate: float = 1e-3
    warmup_steps: int = 20
    rank: int = 8
    alpha: int = 16
    seed: int = 20250101
    save_every: int = 50


@dataclass(frozen=True)
class Tuned:
    """What came out: the model with its adapter, and the loss of every step."""

    model: PeftModel
    losses: list[float]


def add_adapter(model: PreTrainedModel, plan: TuningPlan) -> PeftModel:
    """Put fresh LoRA matrices on all seven linear maps of every layer."""
    torch.manual_seed(plan.seed)
    config = LoraConfig(r=plan.rank, lora_alpha=plan.alpha, target_modules=_TARGETS, task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def tokenised(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Return the corpus as a data set of ``input_ids`` and ``labels``; the labels are set on the answer only."""
    rows = Dataset.from_list([asdict(example) for example in examples])
    return rows.map(lambda row: encode(row, tokenizer), remove_columns=rows.column_names)


def encode(row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Turn an example into ``input_ids`` and ``labels`` of equal length."""
    chat = messages(row["codes"], row["placeholders"], row["language"])
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    answer = [*tokenizer(row["answer"], add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    return {"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}


def answer_loss(model: PeftModel, rows: Sequence[dict[str, list[int]]], pad: int) -> torch.Tensor:
    """Return the mean cross entropy of the answer tokens of a batch.

    Rows are padded on the right without an attention mask (causal attention never sees the padding), and the output
    layer runs on the answer positions only; both save most of the memory and a third of the time.
    """
    length = max(len(row["input_ids"]) for row in rows)
    ids = torch.tensor(
        [row["input_ids"] + [pad] * (length - len(row["input_ids"])) for row in rows], device=model.device
    )
    labels = torch.tensor(
        [row["labels"] + [IGNORED] * (length - len(row["labels"])) for row in rows], device=model.device
    )
    base = model.get_base_model()
    hidden = base.model(input_ids=ids).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    spoken = wanted != IGNORED
    return torch.nn.functional.cross_entropy(base.lm_head(hidden[spoken]), wanted[spoken])


def tune(
    base: Path, out: Path, plan: TuningPlan, progress: Progress | None = None, *, corpus: Path | None = None
) -> Tuned:
    """Train an adapter and write it to ``out`` as float16 safetensors.

    The state is kept in ``out`` every ``plan.save_every`` steps, so that the same call goes on after a stop.

    Args:
        base: The transformers folder of the base model.
        out: The folder of the adapter.
        plan: The recipe.
        progress: Called with (steps done, steps in all, loss).
        corpus: A folder of pairs; without one, sentences of the shipped style are drawn with the seed of the plan.

    Raises:
        InputError: ``out`` holds the unfinished training of another recipe, or the corpus cannot be read.
    """
    base_model, tokenizer = load_base(base)
    model = add_adapter(base_model, plan)
    examples = read_corpus(corpus, "train") if corpus else draw_examples(plan.steps * plan.batch, plan.seed)
    batches = list(itertools.islice(_batches(tokenised(examples, tokenizer), plan), plan.steps))
    trainer = _Trainer(model, plan, int(tokenizer.pad_token_id), _fingerprint(examples))
    trainer.resume(out / _STATE)
    for rows in batches[len(trainer.losses) :]:
        loss = trainer.step(rows)
        done = len(trainer.losses)
        if progress:
            progress(done, plan.steps, loss)
        if done % plan.save_every == 0:
            trainer.keep(out / _STATE)
    save_adapter(model, out)
    (out / _STATE).unlink(missing_ok=True)
    return Tuned(model, trainer.losses)


def save_adapter(model: PeftModel, out: Path) -> None:
    """Write the LoRA matrices of a model and their configuration."""
    config = model.peft_config["default"].to_dict()
    write_adapter(out, get_peft_model_state_dict(model), config)


def write_adapter(out: Path, weights: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> None:
    """Write LoRA matrices in float16, and of their configuration what is needed to use them again."""
    out.mkdir(parents=True, exist_ok=True)
    halved = {name: value.to(torch.float16).contiguous() for name, value in weights.items()}
    save_file(halved, out / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    always = {"peft_type": "LORA", "task_type": "CAUSAL_LM"}
    chosen = {name: _plain(config[name]) for name in ("r", "lora_alpha", "target_modules")}
    write_json(out / ADAPTER_CONFIG, {**always, **chosen, "lora_dropout": 0.0, "bias": "none"})


class _Trainer:
    """AdamW with warm-up and cosine decay over the LoRA matrices."""

    def __init__(self, model: PeftModel, plan: TuningPlan, pad: int, examples: str) -> None:
        self.model, self.plan, self.pad, self.examples = model, plan, pad, examples
        self.parameters = [value for value in model.parameters() if value.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=plan.learning_rate, weight_decay=0.0)
        self.losses: list[float] = []

    def step(self, rows: Sequence[dict[str, list[int]]]) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate * _schedule(len(self.losses), self.plan)
        self.model.train()
        loss = answer_loss(self.model, rows, self.pad)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.losses.append(loss.item())
        return self.losses[-1]

    def keep(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "plan": asdict(self.plan),
            "examples": self.examples,
            "losses": self.losses,
            "adapter": get_peft_model_state_dict(self.model),
            "optimizer": self.optimizer.state_dict(),
        }
        draft = path.with_suffix(".part")
        torch.save(state, draft)
        draft.replace(path)

    def resume(self, path: Path) -> None:
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        if (state["plan"], state["examples"]) != (asdict(self.plan), self.examples):
            raise InputError(
                "holds the unfinished training of another recipe or corpus",
                where=str(path),
                remedy="choose another folder",
            )
        set_peft_model_state_dict(self.model, state["adapter"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.losses = state["losses"]


def _schedule(step: int, plan: TuningPlan) -> float:
    if step < plan.warmup_steps:
        return (step + 1) / plan.warmup_steps
    share = (step - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share))


def _batches(rows: Dataset, plan: TuningPlan) -> Iterator[list[dict[str, list[int]]]]:
    """Yield batches without end: every sentence once in a new order, again and again."""
    rng = np.random.default_rng(plan.seed)
    while True:
        order = rng.permutation(len(rows)).tolist()
        for start in range(0, len(order), plan.batch):
            yield [rows[index] for index in order[start : start + plan.batch]]


def _fingerprint(examples: Sequence[Example]) -> str:
    return hashlib.sha256(repr(examples).encode()).hexdigest()


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else value
