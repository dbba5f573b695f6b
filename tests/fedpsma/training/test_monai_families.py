"""Networks of MONAI that Opacus' validator passes and whose training then fails under its hooks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from monai.networks.nets import BasicUNet, DynUNet, SegResNet, UNet
from torch import nn

from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.losses import dense_loss
from fedpsma.model.network import DenseLogits
from fedpsma.training.gradients.engine import Trainee
from fedpsma.training.gradients.grouped import grouped_gradients
from fedpsma.training.gradients.loop import loop_gradients
from fedpsma.training.gradients.trial import trial_patients
from fedpsma.training.patches import PatchBatch
from fedpsma.training.readiness import check_trainable

PLAN = TrainingPlan(patch_voxels=32, scope="all")
GROUP = ("group", {"num_groups": 2})


class _Headed(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: torch.Tensor, tracer: torch.Tensor) -> DenseLogits:
        found = self.net(image)
        return DenseLogits(found[:, :3], found[:, 3:])


def _unet(norm: object) -> nn.Module:
    return UNet(3, 5, 6, (4, 8), (2,), num_res_units=2, norm=norm)


def _basic() -> nn.Module:
    return BasicUNet(3, 5, 6, features=(4, 4, 8, 8, 8, 4), norm=GROUP)


def _segres() -> nn.Module:
    return SegResNet(3, 4, 5, 6, norm=GROUP, blocks_down=(1, 1), blocks_up=(1,))


def _dyn(*, residual: bool) -> nn.Module:
    return DynUNet(3, 5, 6, (3, 3, 3), (1, 2, 2), (2, 2), filters=(4, 8, 8), norm_name=GROUP, res_block=residual)


@pytest.mark.parametrize(
    "make",
    [_basic, _segres, lambda: _dyn(residual=False), lambda: _dyn(residual=True), lambda: _unet(GROUP)],
    ids=["BasicUNet", "SegResNet", "DynUNet", "DynUNet with residuals", "UNet"],
)
def test_what_is_found_ready_gives_the_gradients_of_autograd(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    net = _Headed(make())
    check_trainable(net, PLAN)
    net = net.double()
    patients = [PatchBatch(one.image.double(), one.tracer, one.targets) for one in trial_patients(2, 1, 16)]
    trainee = Trainee(net, list(net.parameters()), dense_loss)
    pairs = zip(grouped_gradients(trainee, patients), loop_gradients(trainee, patients), strict=True)
    assert max(float((one - other).abs().max()) for one, other in pairs) < 1e-10


def test_batch_statistics_are_found_where_they_are() -> None:
    with pytest.raises(InputError) as caught:
        check_trainable(_Headed(_unet("batch")), PLAN)
    assert caught.value.where == "net.model.0.conv.unit0.adn.N"
