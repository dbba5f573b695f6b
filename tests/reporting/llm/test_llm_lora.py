from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from fedpsma.errors import InputError
from reporting.llm import lora
from reporting.llm.card import Made, write_card
from reporting.llm.corpus import draw_examples
from reporting.llm.evaluate import Quality
from reporting.llm.loading import load_base
from reporting.llm.prompts import messages

PLAN = lora.TuningPlan(steps=12, batch=4, learning_rate=1e-2, warmup_steps=2, save_every=5)
IDS = torch.arange(3, 60).unsqueeze(0)


def logits(model):
    with torch.inference_mode():
        return model.eval()(IDS).logits


def test_the_loss_falls_and_only_the_adapter_has_changed(tiny_folder, tmp_path):
    tuned = lora.tune(tiny_folder, tmp_path / "adapter", PLAN)
    assert np.mean(tuned.losses[-3:]) < 0.9 * np.mean(tuned.losses[:3])
    before = load_base(tiny_folder)[0].state_dict()
    kept = {name.replace(".base_layer", ""): value for name, value in tuned.model.get_base_model().state_dict().items()}
    assert all(torch.equal(value, kept[name]) for name, value in before.items())
    assert not (tmp_path / "adapter" / "training.pt").exists()


def test_a_reloaded_adapter_answers_like_the_trained_one_merged_or_not(tiny_folder, tmp_path):
    tuned = lora.tune(tiny_folder, tmp_path / "adapter", PLAN)
    expected = logits(tuned.model)
    untuned = logits(load_base(tiny_folder)[0])
    reloaded = PeftModel.from_pretrained(load_base(tiny_folder)[0], str(tmp_path / "adapter"))
    # float16 on disk costs three decimals; without the adapter the logits are far away
    assert torch.allclose(logits(reloaded), expected, atol=2e-2)
    assert torch.allclose(logits(reloaded.merge_and_unload()), expected, atol=2e-2)
    assert (untuned - expected).abs().max() > 0.5


def test_the_file_holds_both_matrices_of_all_seven_maps_in_float16(tiny_folder, tmp_path):
    lora.tune(tiny_folder, tmp_path, replace(PLAN, steps=1))
    weights = load_file(tmp_path / "adapter_model.safetensors")
    assert len(weights) == 2 * 7 * 2
    assert {value.dtype for value in weights.values()} == {torch.float16}
    assert json.loads((tmp_path / "adapter_config.json").read_text())["r"] == 8


def test_training_goes_on_after_a_stop_with_the_same_result(tiny_folder, tmp_path):
    whole = lora.tune(tiny_folder, tmp_path / "whole", PLAN)

    def stop_at_seven(done, total, loss):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lora.tune(tiny_folder, tmp_path / "stopped", PLAN, stop_at_seven)
    steps = []
    resumed = lora.tune(tiny_folder, tmp_path / "stopped", PLAN, lambda done, total, loss: steps.append(done))
    assert steps == list(range(6, 13))
    assert resumed.losses == pytest.approx(whole.losses, rel=1e-5)
    assert torch.allclose(logits(resumed.model), logits(whole.model), atol=1e-4)


def test_the_unfinished_training_of_another_recipe_is_not_continued(tiny_folder, tmp_path):
    def stop(done, total, loss):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lora.tune(tiny_folder, tmp_path, PLAN, stop)
    with pytest.raises(InputError, match="another recipe"):
        lora.tune(tiny_folder, tmp_path, replace(PLAN, rank=4))


def test_the_loss_is_that_of_the_answer_alone(tiny_model, tiny_tokenizer):
    model = lora.add_adapter(tiny_model, PLAN)
    rows = list(lora.tokenised(draw_examples(3, 0), tiny_tokenizer))
    together = lora.answer_loss(model, rows, tiny_tokenizer.pad_token_id).item()
    total = count = 0.0
    for row in rows:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"])
        scores = model(ids).logits[0, :-1]
        each = torch.nn.functional.cross_entropy(scores, labels[1:], ignore_index=lora.IGNORED, reduction="sum")
        total, count = total + each.item(), count + (labels[1:] != lora.IGNORED).sum().item()
    assert together == pytest.approx(total / count, rel=1e-4)


def test_the_labels_spell_the_answer_and_its_end(tiny_tokenizer):
    example = draw_examples(1, 0)[0]
    row = lora.tokenised([example], tiny_tokenizer)[0]
    spoken = [token for token in row["labels"] if token != lora.IGNORED]
    assert tiny_tokenizer.decode(spoken) == example.answer + tiny_tokenizer.eos_token
    prompt = tiny_tokenizer.decode(row["input_ids"][: -len(spoken)], skip_special_tokens=True)
    assert messages(example.codes, example.placeholders)[1]["content"] in prompt


def test_the_card_names_base_recipe_corpus_and_counts(tiny_folder, tmp_path):
    tuned = lora.tune(tiny_folder, tmp_path, replace(PLAN, steps=2))
    write_card(tmp_path, Made(tiny_folder, None, PLAN, tuned.losses), {"with grammar": Quality(50, 49, 48, 47, 45)})
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["recipe"]["rank"] == 8
    assert card["held_out"]["with grammar"]["fallback_rate"] == 0.1
    assert card["base"] == {"name": tiny_folder.name, "folder": str(tiny_folder.resolve())}
    assert card["corpus"]["split"] == "by combination of codes"
    assert "no clinician has reviewed" in card["about"]
