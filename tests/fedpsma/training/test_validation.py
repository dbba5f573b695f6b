from __future__ import annotations

import pytest
import torch

from fedpsma.model.config import NetworkConfig
from fedpsma.model.inputs import GridStudy
from fedpsma.model.network import DenseLogits, LesionNet
from fedpsma.training.validation import score_study, summary

CONFIG = NetworkConfig(channels=(16, 16), norm_groups=4)


class _SeesUptake(LesionNet):
    offset = 0.0

    def forward(self, image: torch.Tensor, tracer: torch.Tensor) -> DenseLogits:
        suv = 20 * image[:, 1]
        zero = torch.zeros_like(suv)
        anatomy = torch.zeros(len(suv), 42, *[size // 2 for size in suv.shape[1:]])
        anatomy[:, 1] = 5
        return DenseLogits(torch.stack([zero, zero, 50 * (suv - 4) + self.offset], dim=1), anatomy)


def test_lesions_false_positives_and_dice_are_counted_by_hand() -> None:
    pet = torch.full((20, 20, 20), 1.0)
    lesions = torch.zeros(pet.shape, dtype=torch.int16)
    lesions[2:4, 2:4, 2:4], lesions[10:12, 2:4, 2:4] = 1, 2
    pet[2:4, 2:4, 2:3] = 9
    pet[2, 10, 10], pet[15:17, 15, 15] = 9, 9
    anatomy = torch.ones(pet.shape, dtype=torch.uint8)
    anatomy[:, :, :5], anatomy[:, :, 15:] = 0, 2
    study = GridStudy("s", "p", torch.eye(5)[0], pet, None, lesions, anatomy, (0, 0, 0), (20, 20, 20))
    score = score_study(_SeesUptake(CONFIG), study)
    assert (score.lesions, score.found, score.false_positives) == (2, 1, 2)
    assert (score.overlap, score.predicted, score.truth) == (4, 7, 16)
    found = summary([score])
    # The component on the first lesion holds half of it; the two others are false, and as certain.
    assert found["lesion_average_precision"] == pytest.approx(0.5 * 1 / 3, abs=1e-4)
    assert found["selection"] == pytest.approx((0.5 / 3 + 8 / 23) / 2, abs=1e-4)
    assert found["mean_dice_of_studies_with_lesions"] == pytest.approx(2 * 4 / 23, abs=1e-4)
    assert found["anatomy_accuracy_inside_body"] == pytest.approx(10 / 15, abs=1e-4)


def test_nothing_to_find_gives_no_figure_instead_of_a_perfect_one() -> None:
    study = GridStudy(
        "s",
        "p",
        torch.eye(5)[0],
        torch.ones(16, 16, 16),
        None,
        torch.zeros(16, 16, 16, dtype=torch.int16),
        None,
        (0, 0, 0),
        (16, 16, 16),
    )
    found = summary([score_study(_SeesUptake(CONFIG), study)])
    assert found["lesion_sensitivity"] is None
    assert found["selection"] is None
    assert found["mean_dice_of_studies_with_lesions"] is None
    assert found["false_positives_per_study"] == 0


def test_marking_everything_is_not_rewarded() -> None:
    pet = torch.full((20, 20, 20), 9.0)
    lesions = torch.zeros(pet.shape, dtype=torch.int16)
    lesions[2:4, 2:4, 2:4] = 1
    study = GridStudy("s", "p", torch.eye(5)[0], pet, None, lesions, None, (0, 0, 0), (20, 20, 20))
    found = summary([score_study(_SeesUptake(CONFIG), study)])
    assert found["lesion_sensitivity"] == 1
    assert found["lesion_average_precision"] == 0
    assert found["selection"] < 0.01


def test_a_scale_of_suspicion_that_moved_as_a_whole_keeps_the_ranking() -> None:
    pet = torch.full((20, 20, 20), 1.0)
    lesions = torch.zeros(pet.shape, dtype=torch.int16)
    lesions[2:4, 2:4, 2:4] = 1
    pet[2:4, 2:4, 2:4], pet[15:17, 15, 15] = 4.2, 4.1
    study = GridStudy("s", "p", torch.eye(5)[0], pet, None, lesions, None, (0, 0, 0), (20, 20, 20))
    net = _SeesUptake(CONFIG)
    before = summary([score_study(net, study)])
    net.offset = -11.0
    after = summary([score_study(net, study)])
    assert before["lesion_average_precision"] == after["lesion_average_precision"] == 1
    assert (before["lesion_sensitivity"], after["lesion_sensitivity"]) == (1, 0)
