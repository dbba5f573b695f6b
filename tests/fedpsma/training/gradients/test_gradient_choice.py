from __future__ import annotations

import pytest
import torch
from torch import nn

from fedpsma.contract import TrainingPlan
from fedpsma.model.config import NetworkConfig
from fedpsma.model.losses import dense_loss
from fedpsma.model.network import build
from fedpsma.training.gradients import choice
from fedpsma.training.gradients.choice import bytes_of_patient, choose_gradients
from fedpsma.training.gradients.engine import Trainee
from fedpsma.training.gradients.grouped import NotSeparableError, grouped_gradients
from fedpsma.training.gradients.loop import loop_gradients
from fedpsma.training.gradients.trial import trial_patients

PLAN = TrainingPlan(patch_voxels=16, patches_per_patient=1)


@pytest.fixture
def trainee() -> Trainee:
    net = build(NetworkConfig(channels=(8, 8), norm_groups=4))
    return Trainee(net, list(net.parameters()), dense_loss)


def _took(monkeypatch: pytest.MonkeyPatch, grouped_s: float, loop_s: float) -> None:
    tried = choice._tried
    seconds = {grouped_gradients: grouped_s, loop_gradients: loop_s}
    monkeypatch.setattr(choice, "_tried", lambda way, *rest: (tried(way, *rest)[0], seconds[way]))


@pytest.mark.parametrize(("grouped_s", "method", "at_once"), [(0.5, "grouped", 4), (0.95, "loop", 1), (2.0, "loop", 1)])
def test_the_faster_way_is_chosen_and_the_loop_where_they_are_close(
    trainee: Trainee, monkeypatch, grouped_s: float, method: str, at_once: int
) -> None:
    _took(monkeypatch, grouped_s, 1.0)
    found = choose_gradients(trainee, PLAN, 4.0)
    assert (found.method, found.patients_at_once) == (method, at_once)
    assert f"{grouped_s:.2f} s" in found.reason
    assert found.engine is {"grouped": grouped_gradients, "loop": loop_gradients}[method]


@pytest.mark.parametrize(
    ("patients_fit", "expected", "at_once"), [(1.9, 6.0, 1), (3.5, 6.0, 3), (100, 50.0, 8), (9, 0.3, 2)]
)
def test_no_more_patients_at_once_than_fit_into_memory(
    trainee: Trainee, monkeypatch, patients_fit: float, expected: float, at_once: int
) -> None:
    _took(monkeypatch, 0.1, 1.0)
    room = bytes_of_patient(trainee, trial_patients(1, 1, 16)[0]) * patients_fit / choice._SHARE_OF_FREE_MEMORY
    monkeypatch.setattr(choice, "free_bytes", lambda _: room)
    assert choose_gradients(trainee, PLAN, expected).patients_at_once == at_once


def test_a_seed_fixes_the_way(trainee: Trainee, monkeypatch) -> None:
    _took(monkeypatch, 0.1, 1.0)
    assert choose_gradients(trainee, PLAN.model_copy(update={"seed": 0}), 4.0).method == "loop"


def test_the_loop_steps_in_where_layers_cannot_be_grouped_or_give_something_else(trainee: Trainee, monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise NotSeparableError("down.0: no")

    monkeypatch.setattr(choice, "grouped_gradients", refused)
    found = choose_gradients(trainee, PLAN, 4.0)
    assert (found.method, found.reason) == ("loop", "down.0: no")
    monkeypatch.setattr(choice, "grouped_gradients", lambda *given: [2 * part for part in grouped_gradients(*given)])
    assert "other gradients" in choose_gradients(trainee, PLAN, 4.0).reason


def test_memory_of_a_patient_is_what_the_backward_step_keeps_and_a_gradient() -> None:
    class Line(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(10))

        def forward(self, image: torch.Tensor, tracer: torch.Tensor) -> torch.Tensor:
            return (image.flatten()[:10].clone() * self.scale).exp()

    net = Line()
    trainee = Trainee(net, [net.scale], lambda logits, targets: logits.sum())
    # The product keeps the factor that the scale is multiplied by, the exponential its result; then the gradient.
    assert bytes_of_patient(trainee, trial_patients(1, 1, 8)[0]) == 3 * 10 * 4
