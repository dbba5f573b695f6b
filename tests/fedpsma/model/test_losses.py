from __future__ import annotations

import math

import pytest
import torch

from fedpsma.model.inputs import UNLABELLED
from fedpsma.model.losses import balanced_cross_entropy, dice_loss, focal_cross_entropy


def _sure(target: torch.Tensor, classes: int = 3) -> torch.Tensor:
    return 40.0 * torch.nn.functional.one_hot(target, classes).movedim(-1, 1).float()


def test_a_perfect_prediction_costs_nothing() -> None:
    target = torch.randint(3, (2, 4, 4, 4), generator=torch.Generator().manual_seed(0))
    assert float(focal_cross_entropy(_sure(target), target)) == pytest.approx(0, abs=1e-6)
    assert float(dice_loss(_sure(target), target)) == pytest.approx(0, abs=1e-6)
    assert float(balanced_cross_entropy(_sure(target), target)) == pytest.approx(0, abs=1e-6)


def test_focal_loss_of_an_ignorant_network_has_its_closed_form() -> None:
    target = torch.tensor([0, 1, 2, 2]).reshape(1, 4, 1, 1)
    expected = (1 - 1 / 3) ** 2 * math.log(3)
    assert float(focal_cross_entropy(torch.zeros(1, 3, 4, 1, 1), target)) == pytest.approx(expected)


def test_a_lesion_voxel_weighs_two_hundred_background_voxels() -> None:
    target = torch.tensor([0, 2]).reshape(1, 2, 1, 1)
    all_background, all_lesion = torch.zeros(1, 3, 2, 1, 1), torch.zeros(1, 3, 2, 1, 1)
    all_background[:, 0], all_lesion[:, 2] = 20, 20
    ratio = focal_cross_entropy(all_background, target) / focal_cross_entropy(all_lesion, target)
    assert float(ratio) == pytest.approx(200, rel=1e-3)


def test_dice_of_half_a_lesion() -> None:
    target = torch.zeros(1, 10, 1, 1, dtype=torch.int64)
    target[:, :4] = 2
    found = torch.zeros_like(target)
    found[:, :2] = 2
    # Suspicious: 1 - (2 * 2 + 1) / (2 + 4 + 1); physiological is absent and costs nothing.
    assert float(dice_loss(_sure(found), target)) == pytest.approx((1 - 5 / 7) / 2, abs=1e-6)


def test_a_class_that_is_absent_is_left_to_the_cross_entropy() -> None:
    logits = torch.zeros(1, 3, 10, 1, 1, requires_grad=True)
    target = torch.zeros(1, 10, 1, 1, dtype=torch.int64)
    dice_loss(logits, target).backward()
    assert logits.grad is not None
    assert not logits.grad.any()
    focal_cross_entropy(logits, target).backward()
    assert bool((logits.grad[:, 2] > 0).all())


def test_unlabelled_anatomy_gives_no_loss_and_no_gradient() -> None:
    logits = torch.randn(1, 5, 2, 2, 2, requires_grad=True)
    loss = balanced_cross_entropy(logits, torch.full((1, 2, 2, 2), UNLABELLED))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_class_of_n_voxels_weighs_as_its_square_root() -> None:
    logits = (
        torch.tensor([[0.0, 3.0], [3.0, 0.0]]).repeat_interleave(torch.tensor([16, 4]), dim=0).T.reshape(1, 2, 20, 1, 1)
    )
    target = torch.zeros(1, 20, 1, 1, dtype=torch.int64)
    target[:, 16:] = 1
    each = [float(torch.nn.functional.softplus(torch.tensor(3.0))) for _ in range(2)]
    assert float(balanced_cross_entropy(logits, target)) == pytest.approx((4 * each[0] + 2 * each[1]) / 6, rel=1e-5)
