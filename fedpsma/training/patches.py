"""Patches of a study: centres and augmentation are drawn first, then applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fedpsma.errors import InputError
from fedpsma.model.config import BACKGROUND
from fedpsma.model.inputs import AIR_HU, PHYSIOLOGICAL_SUV, UNLABELLED, GridStudy, image_of, voxel_targets
from fedpsma.model.losses import DenseTargets
from fedpsma.training.masses import NO_MASSES, Mass, Masses, add_density, add_uptake, draw_mass, mass_mask
from fedpsma.training.randomness import integer_below

Edges = tuple[int, int, int]

LESION_SHARE = 0.7
UPTAKE_SHARE = 0.2
_KEPT_VOXELS = 20_000
_BODY_SUV = 0.15
_CROPPED_SHARE = 0.08
_LEAST_FIELD_VOXELS = 6
_FIELD_ROUND_MASS_VOXELS = (3, 12)
_LEAST_MASS_VOXELS = 30


@dataclass(frozen=True)
class PatchSource:
    """A study with the voxels that patches are centred on.

    ``lesions`` holds one (n, 3) tensor of voxel indices for each lesion; ``uptake`` those of SUV >= 3 outside lesions
    and ``body`` those inside the body, both thinned evenly.
    """

    study: GridStudy
    lesions: tuple[Tensor, ...]
    uptake: Tensor
    body: Tensor


@dataclass(frozen=True)
class Augmentation:
    """What happens to one patch; no flips, for the trunk is not symmetric.

    ``mass`` is a large tumour to be drawn in. ``field`` gives the half edges (voxels) of what a small field of view
    leaves round the middle of the patch.
    """

    suv_scale: float = 1.0
    hu_shift: float = 0.0
    without_ct: bool = False
    without_tracer: bool = False
    mass: Mass | None = None
    field: Edges | None = None


@dataclass(frozen=True)
class PatchDraw:
    """One patch to be cut: which study, around which voxel, and how it is augmented."""

    source: PatchSource
    centre: tuple[int, int, int]
    augmentation: Augmentation


class PatchBatch(NamedTuple):
    """Network input (batch, 5, x, y, z), tracer mixture (batch, tracer) and targets."""

    image: Tensor
    tracer: Tensor
    targets: DenseTargets


def patch_source(study: GridStudy) -> PatchSource:
    """Find the voxels of a study that patches can be centred on.

    Raises:
        InputError: The study has no lesion mask; whether it holds lesions is unknown, so nothing can be learnt of it.
    """
    lesions = lesion_mask(study)
    inside = torch.nonzero(lesions)
    numbers = lesions[tuple(inside.T)]
    uptake = torch.nonzero((study.pet >= PHYSIOLOGICAL_SUV) & (lesions == 0))
    body = torch.nonzero(study.pet > _BODY_SUV)
    if not len(body):
        body = torch.tensor([[size // 2 for size in study.pet.shape]])
    of_each = tuple(inside[numbers == number] for number in torch.unique(numbers))
    return PatchSource(study, of_each, _thinned(uptake), _thinned(body))


def lesion_mask(study: GridStudy) -> Tensor:
    """Return the lesion numbers of a study (x, y, z); raises :class:`InputError` where it has none."""
    if study.lesions is None:
        raise InputError(
            "has no lesion mask", where=f"study {study.study_id}", remedy="give an empty mask where there is no lesion"
        )
    return study.lesions


def draw_patches(
    sources: list[PatchSource], count: int, edge: int | Edges, generator: torch.Generator, masses: Masses = NO_MASSES
) -> list[PatchDraw]:
    """Draw ``count`` patches of one patient: most on lesions where there are any, the others on uptake and body.

    ``edge`` is the edge of cubes, or the three edges (x, y, z) of the patches, in voxels. ``masses`` says how
    many of them get a large tumour.
    """
    draws = []
    for _ in range(count):
        source = sources[integer_below(len(sources), generator)]
        centre = _draw_centre(source, edges(edge), generator)
        draws.append(PatchDraw(source, centre, _draw_augmentation(edges(edge), generator, masses)))
    return draws


def edges(edge: int | Edges) -> Edges:
    """Return the three edges of a patch that is a cube or has edges of its own.

    Example:
        >>> edges(48)
        (48, 48, 48)
    """
    return (edge, edge, edge) if isinstance(edge, int) else edge


def cross_section(study: GridStudy, levels: int, multiple: int) -> Edges:
    """Return the edges of a slab over the whole width and depth of a study, rounded up to a multiple of voxels."""
    x, y, _ = study.pet.shape
    return -(-x // multiple) * multiple, -(-y // multiple) * multiple, levels


def cut_patches(draws: list[PatchDraw], edge: int | Edges) -> PatchBatch:
    """Cut drawn patches of ``edge`` voxels; where the study is smaller, it is continued with air."""
    patches = [_cut(draw, edges(edge)) for draw in draws]
    return PatchBatch(
        torch.stack([image for image, _, _, _ in patches]),
        torch.stack([tracer for _, tracer, _, _ in patches]),
        DenseTargets(
            torch.stack([voxel for _, _, voxel, _ in patches]), torch.stack([anatomy for _, _, _, anatomy in patches])
        ),
    )


def _cut(draw: PatchDraw, shape: Edges) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    study, how = draw.source.study, draw.augmentation
    window = _window(draw, shape)

    def part(volume: Tensor, outside: float) -> Tensor:
        cut = volume[window]
        missing = [edge - size for edge, size in zip(shape, cut.shape, strict=True)]
        return nn.functional.pad(cut, (0, missing[2], 0, missing[1], 0, missing[0]), value=outside)

    def field(patch: Tensor, outside: float) -> Tensor:
        return patch if how.field is None else _in_field(patch, how.field, outside)

    pet, lesions = part(study.pet, 0.0).float(), part(lesion_mask(study), 0)
    ct = None if study.ct is None or how.without_ct else part(study.ct, AIR_HU).float() + how.hu_shift
    # What the blur of a drawn mass brings into its surroundings is not uptake of their own.
    own = pet
    if how.mass is not None:
        pet, ct, lesions = _with_mass(pet, ct, lesions, how.mass)
    image = image_of(field(pet, 0.0) * how.suv_scale, None if ct is None else field(ct, AIR_HU))
    voxel = field(voxel_targets(own, lesions), BACKGROUND)
    tracer = torch.full_like(study.tracer, 1 / len(study.tracer)) if how.without_tracer else study.tracer
    unknown = torch.full(pet.shape, UNLABELLED, dtype=torch.int64)
    return image, tracer, voxel, unknown if study.anatomy is None else field(part(study.anatomy, 0).long(), 0)


def _window(draw: PatchDraw, shape: Edges) -> tuple[slice, ...]:
    corner = [
        min(max(centre - edge // 2, 0), max(size - edge, 0))
        for centre, edge, size in zip(draw.centre, shape, draw.source.study.pet.shape, strict=True)
    ]
    return tuple(slice(start, start + edge) for start, edge in zip(corner, shape, strict=True))


def _in_field(patch: Tensor, field: Edges, outside: float) -> Tensor:
    """Leave of a patch what lies in a box round its middle."""
    kept = tuple(
        slice(max(size // 2 - half, 0), size // 2 + half) for size, half in zip(patch.shape, field, strict=True)
    )
    cropped = torch.full_like(patch, outside)
    cropped[kept] = patch[kept]
    return cropped


def _with_mass(pet: Tensor, ct: Tensor | None, lesions: Tensor, mass: Mass) -> tuple[Tensor, Tensor | None, Tensor]:
    """Draw a tumour into the body, but not over what takes up the tracer."""
    room = (pet > _BODY_SUV) & ((pet < PHYSIOLOGICAL_SUV) | (lesions > 0))
    mask = mass_mask(mass, (pet.shape[0], pet.shape[1], pet.shape[2])) & room
    if int(mask.sum()) < _LEAST_MASS_VOXELS:
        return pet, ct, lesions
    drawn = torch.where(mask, lesions.max() + 1, lesions)
    return add_uptake(pet, mass, mask), None if ct is None else add_density(ct, mass, mask), drawn


def _draw_centre(source: PatchSource, shape: Edges, generator: torch.Generator) -> tuple[int, int, int]:
    chance = float(torch.rand((), generator=generator))
    voxels = source.body
    if source.lesions and chance < LESION_SHARE:
        voxels = source.lesions[integer_below(len(source.lesions), generator)]
    elif len(source.uptake) and chance < LESION_SHARE + UPTAKE_SHARE:
        voxels = source.uptake
    voxel = voxels[integer_below(len(voxels), generator)]
    shift = 2 * torch.rand(3, generator=generator) - 1
    x, y, z = (voxel + (shift * torch.tensor(shape) / 4).round().long()).tolist()
    return x, y, z


def _draw_augmentation(shape: Edges, generator: torch.Generator, masses: Masses) -> Augmentation:
    """Draw what happens to a patch of this shape; a patch with a tumour shows little more than the tumour."""
    scale, shift = torch.randn(2, generator=generator).tolist()
    ct, tracer, cropped, massive = torch.rand(4, generator=generator).tolist()
    mass = draw_mass(masses.voxel_ml, generator) if massive < masses.share else None
    field: Edges | None = None
    if mass is not None:
        low, high = _FIELD_ROUND_MASS_VOXELS
        x, y, z = (round(radius) + low + integer_below(high - low, generator) for radius in mass.radii)
        field = (x, y, z)
    elif cropped < _CROPPED_SHARE:
        x, y, z = (
            _LEAST_FIELD_VOXELS + integer_below(max(size // 2 - _LEAST_FIELD_VOXELS, 1), generator) for size in shape
        )
        field = (x, y, z)
    return Augmentation(
        suv_scale=float(torch.tensor(0.1 * scale).exp()),
        hu_shift=15.0 * shift,
        without_ct=ct < 0.2,
        without_tracer=tracer < 0.1,
        mass=mass,
        field=field,
    )


def _thinned(voxels: Tensor) -> Tensor:
    step = max(1, -(-len(voxels) // _KEPT_VOXELS))
    return voxels[::step].clone()
