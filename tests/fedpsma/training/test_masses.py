from __future__ import annotations

import torch

from fedpsma.model.inputs import GridStudy
from fedpsma.training.masses import VOLUME_ML, Masses, add_density, draw_mass, mass_mask
from fedpsma.training.patches import cut_patches, draw_patches, patch_source

_VOXEL_ML = 0.064
_ALWAYS = Masses(1.0, _VOXEL_ML)


def _study(hot: float = 8.0) -> GridStudy:
    shape = (80, 80, 80)
    pet = torch.full(shape, 1.0).half()
    pet[:, :30] = hot
    ct = torch.full(shape, -90.0).half()
    empty = torch.zeros(shape, dtype=torch.int16)
    anatomy = torch.ones(shape, dtype=torch.uint8)
    return GridStudy("s", "p", torch.tensor([0.0, 0, 0, 0, 1]), pet, ct, empty, anatomy, (0, 0, 0), shape)


def test_volumes_span_the_stated_range() -> None:
    generator = torch.Generator().manual_seed(0)
    volumes = [_VOXEL_ML * float(mass_mask(draw_mass(_VOXEL_ML, generator), (96, 96, 96)).sum()) for _ in range(30)]
    low, high = VOLUME_ML
    assert min(volumes) < 4 * low
    assert max(volumes) > high / 4
    # The lumps change the volume of the drawn ellipsoid somewhat.
    assert max(volumes) < 2.5 * high


def test_a_mass_is_a_lesion_and_leaves_what_takes_up_the_tracer_alone() -> None:
    draws = draw_patches([patch_source(_study())], 8, 64, torch.Generator().manual_seed(1), _ALWAYS)
    batch = cut_patches(draws, 64)
    for draw, image, voxel in zip(draws, batch.image, batch.targets.voxel, strict=True):
        suv = 20 * image[1] / draw.augmentation.suv_scale
        lesion = voxel == 2
        assert draw.augmentation.mass is not None
        if not lesion.any():
            continue
        assert suv[lesion].max() > 2
        # Seen before the mass was drawn in, all of these voxels were quiet tissue.
        start = min(max(draw.centre[1] - 32, 0), 16)
        assert not lesion[:, : max(30 - start, 0)].any()
    assert sum(bool((one == 2).any()) for one in batch.targets.voxel) >= 4


def test_without_a_share_there_is_no_mass() -> None:
    batch = cut_patches(draw_patches([patch_source(_study())], 8, 32, torch.Generator().manual_seed(1)), 32)
    assert not (batch.targets.voxel == 2).any()


def test_a_small_field_shows_air_round_it() -> None:
    draws = draw_patches([patch_source(_study(hot=1.0))], 60, 64, torch.Generator().manual_seed(2))
    cropped = [draw for draw in draws if draw.augmentation.field is not None]
    assert 1 <= len(cropped) <= 15
    for draw in cropped:
        image = cut_patches([draw], 64).image[0]
        x, y, z = draw.augmentation.field
        shown = image[1] > 0
        assert int(shown.sum()) == 8 * x * y * z
        assert not image[:3, ~shown].any()


def test_density_keeps_half_of_the_texture() -> None:
    mass = draw_mass(_VOXEL_ML, torch.Generator().manual_seed(0))
    ct = torch.tensor([mass.hu + 20, mass.hu - 20, -1000.0])
    changed = add_density(ct, mass, torch.tensor([True, True, False]))
    torch.testing.assert_close(changed, torch.tensor([mass.hu + 10, mass.hu - 10, -1000.0]))
