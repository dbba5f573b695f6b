from __future__ import annotations

import pytest
import torch

from fedpsma.errors import InputError
from fedpsma.model.inputs import UNLABELLED, GridStudy
from fedpsma.training.patches import Augmentation, PatchDraw, cut_patches, draw_patches, patch_source


def _study(shape=(40, 30, 50), lesions: bool = True, anatomy: bool = True) -> GridStudy:
    pet = torch.full(shape, 1.0).half()
    pet[20:30, 5:15, 5:15] = 6
    mask = torch.zeros(shape, dtype=torch.int16)
    if lesions:
        mask[3, 4, 44] = 1
        mask[30:36, 20:26, 20:26] = 2
    region = torch.full(shape, 1, dtype=torch.uint8) if anatomy else None
    tracer = torch.tensor([0.0, 1, 0, 0, 0])
    return GridStudy("s", "p", tracer, pet, pet * 10, mask, region, (0, 0, 0), shape)


def test_seven_patches_in_ten_hold_a_lesion_and_a_tiny_one_as_often_as_a_large_one() -> None:
    source = patch_source(_study())
    draws = draw_patches([source], 300, 8, torch.Generator().manual_seed(0))
    near = [
        [all(abs(a - b) <= 8 for a, b in zip(draw.centre, spot, strict=True)) for draw in draws]
        for spot in ((3, 4, 44), (33, 23, 23))
    ]
    assert 0.27 < sum(near[0]) / 300 < 0.43
    assert 0.27 < sum(near[1]) / 300 < 0.46


def test_same_seed_same_patches() -> None:
    source = patch_source(_study())
    first, again, other = (
        cut_patches(draw_patches([source], 3, 16, torch.Generator().manual_seed(seed)), 16) for seed in (1, 1, 2)
    )
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.targets.voxel, again.targets.voxel)
    assert not torch.equal(first.image, other.image)


def test_a_patch_shows_the_study_at_its_place() -> None:
    batch = cut_patches([PatchDraw(patch_source(_study()), (33, 23, 23), Augmentation())], 16)
    assert batch.image.shape == (1, 5, 16, 16, 16)
    # The patch starts at (24, 14, 15): clamped along x and y to end at the border.
    lesion = torch.zeros(16, 16, 16, dtype=torch.bool)
    lesion[6:12, 6:12, 5:11] = True
    assert torch.equal(batch.targets.voxel[0] == 2, lesion)
    assert batch.targets.voxel[0, 0, 0, 0] == 0
    assert batch.tracer.tolist() == [[0, 1, 0, 0, 0]]


def test_a_study_smaller_than_the_patch_is_continued_with_air() -> None:
    batch = cut_patches([PatchDraw(patch_source(_study((40, 10, 50))), (20, 5, 20), Augmentation())], 16)
    outside = batch.image[0, :, :, 10:]
    assert not outside[:3].any()
    assert (outside[3] == -1).all()
    assert not batch.targets.anatomy[0, :, 10:].any()


def test_augmentation_scales_the_image_but_not_the_truth() -> None:
    source = patch_source(_study())
    plain = cut_patches([PatchDraw(source, (25, 10, 10), Augmentation())], 16)
    changed = cut_patches(
        [PatchDraw(source, (25, 10, 10), Augmentation(suv_scale=0.4, without_ct=True, without_tracer=True))], 16
    )
    torch.testing.assert_close(changed.image[:, 1], 0.4 * plain.image[:, 1])
    assert not changed.image[:, 3:].any()
    assert changed.tracer.tolist() == [pytest.approx([0.2] * 5)]
    assert torch.equal(changed.targets.voxel, plain.targets.voxel)


def test_unknown_anatomy_is_unlabelled() -> None:
    batch = cut_patches([PatchDraw(patch_source(_study(anatomy=False)), (9, 9, 9), Augmentation())], 8)
    assert (batch.targets.anatomy == UNLABELLED).all()


def test_an_unknown_lesion_mask_is_refused_and_an_empty_one_is_not() -> None:
    assert patch_source(_study(lesions=False)).lesions == ()
    study = _study()
    with pytest.raises(InputError, match="no lesion mask"):
        patch_source(GridStudy(**{**vars(study), "lesions": None}))
