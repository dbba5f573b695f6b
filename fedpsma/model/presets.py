"""Network sizes by name."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from fedpsma.errors import InputError
from fedpsma.model.config import NetworkConfig


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, the default one first.

    Example:
        >>> preset_names()
        ('small', 'large')
    """
    return tuple(_presets())


def network_preset(name: str) -> NetworkConfig:
    """Return the network of a preset.

    Raises:
        InputError: There is no preset of this name.
    """
    if name not in _presets():
        raise InputError(f"{name!r} is no preset", where="the network", remedy=f"give one of {', '.join(_presets())}")
    return _presets()[name]


@cache
def _presets() -> dict[str, NetworkConfig]:
    content = json.loads(resources.files(__package__).joinpath("data/presets.json").read_text("utf-8"))
    return {name: NetworkConfig.model_validate(entry["network"]) for name, entry in content.items()}
