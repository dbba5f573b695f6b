"""Made-up patients of known geometry: balls of uptake in a box of background, with what a network might say of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.domain.tracer import Tracer

BACKGROUND_SUV = 0.5


@dataclass(frozen=True)
class Ball:
    """A ball of uptake, centre (right, anterior, superior) in mm from the middle of the volume."""

    centre_mm: tuple[float, float, float]
    radius_mm: float
    suv: float
    probability: float = 0.95
    anatomy: str | None = None
    hu: float | None = None
    lesion: int = 0


@dataclass(frozen=True)
class Patient:
    study: Study
    prediction: VoxelPrediction


def build_patient(
    balls: Sequence[Ball],
    spacing_mm: tuple[float, float, float] = (4.0, 4.0, 4.0),
    size_mm: tuple[float, float, float] = (240.0, 240.0, 240.0),
    edge_mm: float = 1.0,
    with_ct: bool = False,
) -> Patient:
    """Draw soft-edged balls before a spine at the back.

    SUV and probability fall off as a logistic of width ``edge_mm`` at the radius.
    """
    shape = tuple(round(size / step) for size, step in zip(size_mm, spacing_mm, strict=True))
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = [-(count - 1) * step / 2 for count, step in zip(shape, spacing_mm, strict=True)]
    axes = [affine[axis, 3] + np.arange(shape[axis]) * spacing_mm[axis] for axis in range(3)]
    pet = np.full(shape, BACKGROUND_SUV)
    probability = np.zeros(shape)
    anatomy = np.full(shape, anatomy_number("soft_tissue"), dtype=np.uint8)
    spine = (np.abs(axes[0]) <= 12)[:, None] & (axes[1] < axes[1][0] + 20)[None, :]
    anatomy[spine] = anatomy_number("thoracic_spine")
    ct = np.full(shape, -100.0, dtype=np.float32)
    lesions = np.zeros(shape, dtype=np.int32)
    for ball in balls:
        x, y, z = np.meshgrid(*[axis - at for axis, at in zip(axes, ball.centre_mm, strict=True)], indexing="ij")
        distance = np.sqrt(x**2 + y**2 + z**2)
        inside = distance <= ball.radius_mm
        soft = 1.0 / (1.0 + np.exp(np.clip((distance - ball.radius_mm) / edge_mm, -50, 50)))
        pet = np.maximum(pet, BACKGROUND_SUV + (ball.suv - BACKGROUND_SUV) * soft)
        probability = np.maximum(probability, ball.probability * soft)
        if ball.anatomy is not None:
            anatomy[inside] = anatomy_number(ball.anatomy)
        if ball.hu is not None:
            ct[inside] = ball.hu
        if ball.lesion:
            lesions[inside] = ball.lesion
    study = Study(
        study_id="made-up-1",
        patient_id="made-up",
        pet=pet.astype(np.float32),
        affine=affine,
        tracer=Tracer.PSMA_11,
        ct=ct if with_ct else None,
        lesions=lesions,
    )
    suspicious = probability.astype(np.float32)
    return Patient(study, VoxelPrediction(suspicious, np.zeros_like(suspicious), anatomy))


@pytest.fixture(name="ball", scope="session")
def ball_class() -> type[Ball]:
    return Ball


@pytest.fixture(scope="session")
def make_patient() -> Callable[..., Patient]:
    return build_patient
