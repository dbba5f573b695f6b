from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from fedpsma.contract import TrainingPlan
from fedpsma.training.descent import Descent
from fedpsma.training.schedule import share_of_rate


def _parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(3))]


def test_plain_descent_goes_along_the_gradient() -> None:
    parameters = _parameters()
    Descent.of(TrainingPlan(learning_rate=0.5), parameters, 1).step(torch.arange(7.0, dtype=torch.float64))
    assert parameters[0].flatten().tolist() == [1.0, 0.5, 0.0, -0.5]
    assert parameters[1].tolist() == [-1.0, -1.5, -2.0]


def test_the_first_step_of_adam_is_as_long_as_the_rate_in_every_weight() -> None:
    parameters = _parameters()
    gradient = torch.tensor([1e-3, -5.0, 2.0, 70.0, -1.0, 1.0, 0.3], dtype=torch.float64)
    Descent.of(TrainingPlan(learning_rate=0.1, optimizer="adam"), parameters, 1).step(gradient)
    moved = torch.cat([one.detach().flatten() - 1 for one in parameters])
    assert moved.tolist() == pytest.approx((-0.1 * gradient.sign()).tolist(), abs=1e-5)


def test_adam_begins_every_round_anew() -> None:
    plan = TrainingPlan(learning_rate=0.1, optimizer="adam")
    parameters = _parameters()
    for number in (1, 2):
        Descent.of(plan, parameters, number).step(torch.ones(7, dtype=torch.float64))
    assert parameters[1].tolist() == pytest.approx([0.8] * 3)


def test_no_gradient_is_left_behind() -> None:
    parameters = _parameters()
    Descent.of(TrainingPlan(), parameters, 1).step(torch.ones(7, dtype=torch.float64))
    assert all(one.grad is None for one in parameters)


def test_a_cosine_falls_over_the_rounds_and_a_constant_does_not() -> None:
    rates = [share_of_rate("cosine", number, 10) for number in range(1, 11)]
    assert rates[0] == 1.0
    assert all(later < earlier for earlier, later in pairwise(rates))
    assert rates[-1] > 0
    assert {share_of_rate("constant", number, 10) for number in range(1, 11)} == {1.0}


@pytest.mark.parametrize("other", [{"optimizer": "adam"}, {"schedule": "cosine"}])
def test_control_variates_need_plain_steps(other: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="control variates"):
        TrainingPlan(control_variates=True, **other)
