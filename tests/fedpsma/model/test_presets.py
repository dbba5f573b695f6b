from __future__ import annotations

import pytest
import torch

from fedpsma.errors import InputError
from fedpsma.model.config import NetworkConfig
from fedpsma.model.network import LesionNet
from fedpsma.model.presets import network_preset, preset_names


def test_the_small_preset_is_the_default_network_and_the_large_one_is_larger() -> None:
    sizes = {}
    for name in preset_names():
        with torch.device("meta"):
            net = LesionNet(network_preset(name))
        sizes[name] = sum(parameter.numel() for parameter in net.parameters())
    assert network_preset("small") == NetworkConfig()
    assert 1e6 <= sizes["small"] <= 5e6
    assert 10e6 <= sizes["large"] <= 40e6


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(InputError, match="give one of small, large"):
        network_preset("huge")
