"""Where sampling and noise come from: a seed in a simulation, the operating system in a real federation.

The generators of torch keep 32 bits of a seed on the CPU. Whoever tries them all could take the noise off again, so
real noise is made from the operating system's generator instead.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# A sum of several normal draws hides the gaps between floating point numbers that a single draw shows
# (Holohan and Braghin 2021, arXiv 2107.10138); Opacus' secure mode does the same.
_DRAWS_PER_NORMAL = 4


class Randomness(Protocol):
    """What the private mechanism draws."""

    def uniform(self, count: int) -> Tensor:
        """Return ``count`` numbers, uniform in [0, 1)."""
        ...

    def normal(self, count: int) -> Tensor:
        """Return ``count`` standard normal numbers as float64."""
        ...


class SeededRandomness:
    """Repeatable, hence no protection: for simulations and tests."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def uniform(self, count: int) -> Tensor:
        """Return ``count`` numbers, uniform in [0, 1)."""
        return torch.rand(count, generator=self._generator, dtype=torch.float64)

    def normal(self, count: int) -> Tensor:
        """Return ``count`` standard normal numbers as float64."""
        return torch.randn(count, generator=self._generator, dtype=torch.float64)


class SystemRandomness:
    """Drawn from the operating system's cryptographic generator."""

    def uniform(self, count: int) -> Tensor:
        """Return ``count`` numbers, uniform in [0, 1)."""
        return torch.from_numpy(_system_uniform(count))

    def normal(self, count: int) -> Tensor:
        """Return ``count`` standard normal numbers as float64."""
        total = sum((_system_normal(count) for _ in range(_DRAWS_PER_NORMAL)), np.zeros(count))
        return torch.from_numpy(total / np.sqrt(_DRAWS_PER_NORMAL))


def generator_of(seed: int | None, site: str, round_number: int) -> torch.Generator:
    """Return the generator of one round at one site; from the operating system where there is no seed."""
    if seed is None:
        return torch.Generator().manual_seed(secrets.randbits(63))
    digest = hashlib.sha256(f"{seed}/{site}/{round_number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def randomness_of(seed: int | None, generator: torch.Generator) -> Randomness:
    """Return seeded randomness for a simulation, the operating system's where there is no seed."""
    return SystemRandomness() if seed is None else SeededRandomness(generator)


def _system_uniform(count: int) -> NDArray[np.float64]:
    bits = np.frombuffer(os.urandom(8 * count), dtype=np.uint64) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53


def _system_normal(count: int) -> NDArray[np.float64]:
    """Box and Muller 1958; one minus the uniform number is never zero."""
    half = (count + 1) // 2
    radius = np.sqrt(-2 * np.log1p(-_system_uniform(half)))
    angle = 2 * np.pi * _system_uniform(half)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def integer_below(limit: int, generator: torch.Generator) -> int:
    """Draw a whole number from 0 on below a limit; for patches, where an ordinary generator will do."""
    return int(torch.randint(limit, (), generator=generator))
