from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fedpsma.errors import InputError
from fedpsma.model.checkpoint import (
    ModelCard,
    Weights,
    apply_weights,
    card_path,
    load_checkpoint,
    load_network,
    model_hash,
    save_checkpoint,
    weights_of,
)
from fedpsma.model.config import AdapterConfig, NetworkConfig, model_config_of
from fedpsma.model.network import LesionNet, build

SMALL = NetworkConfig(channels=(16, 16), norm_groups=4)
CARD = ModelCard(name="test", data="none", recipe={}, metrics={})


@pytest.fixture
def net() -> LesionNet:
    return build(SMALL)


def test_a_checkpoint_comes_back_as_it_was(net: LesionNet, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, SMALL, weights_of(net), CARD)
    found = load_checkpoint(path)
    assert found.network == SMALL
    assert model_hash(found.weights) == model_hash(weights_of(net)) == found.card.sha256
    assert model_hash(weights_of(load_network(path))) == found.card.sha256


def test_weights_are_copies(net: LesionNet) -> None:
    weights = weights_of(net)
    weights["voxel_head.weight"][:] = 7
    assert float(net.voxel_head.weight.detach().max()) < 7


def test_the_hash_sees_values_names_and_shapes() -> None:
    base: Weights = {"a": np.arange(4, dtype=np.float32)}
    hashes = {
        model_hash(base),
        model_hash({"a": np.arange(1, 5, dtype=np.float32)}),
        model_hash({"b": base["a"]}),
        model_hash({"a": base["a"].reshape(2, 2)}),
    }
    assert len(hashes) == 4
    assert model_hash({"b": base["a"], "a": base["a"]}) == model_hash({"a": base["a"], "b": base["a"]})


def _without(weights: Weights) -> None:
    del weights["voxel_head.bias"]


def _with_more(weights: Weights) -> None:
    weights["backdoor"] = np.zeros(1, np.float32)


def _other_shape(weights: Weights) -> None:
    weights["voxel_head.bias"] = np.zeros(4, np.float32)


def _not_finite(weights: Weights) -> None:
    weights["voxel_head.bias"] = np.full(3, np.nan, np.float32)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_without, "voxel_head.bias"),
        (_with_more, "backdoor"),
        (_other_shape, "voxel_head.bias"),
        (_not_finite, "finite"),
    ],
)
def test_wrong_weights_are_refused_and_change_nothing(net: LesionNet, spoil, named: str) -> None:
    before = model_hash(weights_of(net))
    weights = weights_of(build(SMALL, seed=5))
    spoil(weights)
    with pytest.raises(InputError, match=named):
        apply_weights(net, weights)
    assert model_hash(weights_of(net)) == before


def test_files_that_do_not_belong_together_are_refused(net: LesionNet, tmp_path: Path) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    save_checkpoint(one, SMALL, weights_of(net), CARD)
    save_checkpoint(two, SMALL, weights_of(build(SMALL, seed=1)), CARD)
    card_path(one).replace(card_path(two))
    with pytest.raises(InputError, match="other weights"):
        load_checkpoint(two)
    with pytest.raises(InputError, match=r"has no model card one\.card\.json"):
        load_checkpoint(one)


def test_a_broken_file_is_refused(net: LesionNet, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, SMALL, weights_of(net), CARD)
    path.write_bytes(b"not safetensors")
    with pytest.raises(InputError, match="not a safetensors file"):
        load_checkpoint(path)


def test_a_checkpoint_of_an_adapter_is_kept_as_what_it_is_and_taken_for_no_network(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    adapter = AdapterConfig(base="tiny", base_sha256="0" * 64, rank=2, alpha=4, targets=("q_proj",))
    save_checkpoint(path, adapter, {"a": np.zeros((2, 3), np.float32)}, CARD)
    found = load_checkpoint(path)
    assert found.card.network == adapter == model_config_of(adapter.model_dump(mode="json"), where="order")
    with pytest.raises(InputError, match="adapter of the language model tiny, no lesion network"):
        load_network(path)
    with pytest.raises(InputError, match="describes no model known here"):
        model_config_of({"kind": "tomorrow's"}, where="order")


def test_weights_alone_need_neither_monai_nor_torch() -> None:
    check = "import sys, fedpsma.model.checkpoint; sys.exit('monai' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
