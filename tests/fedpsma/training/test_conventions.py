"""Edges on which contour conventions disagree teach nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fedpsma.io.dataset import Dataset
from fedpsma.model.config import PHYSIOLOGICAL, SUSPICIOUS, NetworkConfig
from fedpsma.model.inputs import DISPUTED, UNLABELLED, GridStudy, voxel_targets
from fedpsma.model.losses import dice_loss, focal_cross_entropy
from fedpsma.training.conventions import REACH_VOXELS, without_disputed_edges
from fedpsma.training.sources import SourceCache


def _ball(threshold: float, peak: float = 20.0) -> GridStudy:
    """A focus that falls off in all directions, outlined from a threshold on."""
    axes = torch.meshgrid(*[torch.arange(-8, 9)] * 3, indexing="ij")
    distance = torch.stack(axes).float().norm(dim=0)
    pet = peak * torch.exp(-((distance / 4) ** 2))
    lesions = (pet >= threshold).to(torch.int16)
    tracer = torch.full((5,), 0.2)
    return GridStudy("s", "p", tracer, pet.half(), None, lesions, None, (0, 0, 0), (17, 17, 17))


def _targets(study: GridStudy) -> torch.Tensor:
    assert study.lesions is not None
    return voxel_targets(study.pet, study.lesions)


def test_two_sites_that_draw_differently_teach_the_same() -> None:
    rules = ("suv3", "pct41")
    drawn = [_ball(3.0), _ball(0.41 * 20)]
    before, after = [_targets(one) for one in drawn], [_targets(without_disputed_edges(one, rules)) for one in drawn]
    assert int((before[0] != before[1]).sum()) > 200
    known = (after[0] != UNLABELLED) & (after[1] != UNLABELLED)
    assert torch.equal(after[0][known], after[1][known])
    assert int((after[0] == SUSPICIOUS).sum()) == int((drawn[1].lesions > 0).sum())  # type: ignore[operator]
    assert torch.equal(after[0] == SUSPICIOUS, after[1] == SUSPICIOUS)


def test_what_is_disputed_lies_between_the_thresholds_near_the_lesion() -> None:
    study = _ball(0.41 * 20)
    marked = without_disputed_edges(study, ("suv3", "pct41"))
    assert marked.lesions is not None
    suv = study.pet.float()[marked.lesions == DISPUTED]
    assert float(suv.min()) >= 3.0
    assert float(suv.max()) < 0.41 * 20
    far = without_disputed_edges(_ball(19.0), ("suv3", "pct41"))
    assert far.lesions is not None
    reach = torch.nonzero(far.lesions == DISPUTED).sub(8).abs().sum(dim=1).max()
    assert int(reach) <= REACH_VOXELS + 1
    assert int((_targets(far) == PHYSIOLOGICAL).sum()) > 0


def test_one_rule_disputes_nothing_it_drew() -> None:
    study = _ball(3.0)
    marked = without_disputed_edges(study, ("suv3",))
    assert marked.lesions is not None
    assert study.lesions is not None
    assert torch.equal(marked.lesions > 0, study.lesions > 0)


@pytest.mark.parametrize("rules", [(), ("manual",), ("manual", "liver")])
def test_rules_without_a_threshold_change_nothing(rules: tuple[str, ...]) -> None:
    study = _ball(3.0)
    marked = without_disputed_edges(study, rules)  # type: ignore[arg-type]
    assert torch.equal(marked.lesions, study.lesions)  # type: ignore[arg-type]


def test_a_faint_lesion_keeps_its_hottest_voxel() -> None:
    study = _ball(1.0, peak=2.0)
    marked = without_disputed_edges(study, ("suv3", "pct50"))
    assert marked.lesions is not None
    assert int((marked.lesions == 1).sum()) == 1


def test_no_study_is_changed_where_there_is_no_mask() -> None:
    study = _ball(3.0)
    bare = GridStudy("s", "p", study.tracer, study.pet, None, None, None, (0, 0, 0), (17, 17, 17))
    assert without_disputed_edges(bare, ("suv3", "pct41")) is bare


def test_unlabelled_voxels_do_not_count_in_the_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 6, 6, 6, generator=generator)
    target = torch.randint(0, 3, (1, 6, 6, 6), generator=generator)
    part = target.clone()
    part[:, 3:] = UNLABELLED
    wild = logits.clone()
    wild[:, :, 3:] = 50 * torch.randn(1, 3, 3, 6, 6, generator=generator)
    for loss in (focal_cross_entropy, dice_loss):
        assert float(loss(logits, part)) == pytest.approx(float(loss(wild, part)), abs=1e-6)
        assert float(loss(logits, part)) == pytest.approx(float(loss(logits[:, :, :3], target[:, :3])), abs=1e-6)
        assert torch.isfinite(loss(logits, torch.full_like(target, UNLABELLED)))


def test_patches_are_centred_on_what_the_site_drew(toy: Callable[[int], Dataset]) -> None:
    data, config, cache = toy(3), NetworkConfig(channels=(8, 8), norm_groups=4), SourceCache()
    plain = cache.get(data, data.rows[2], config)
    marked = cache.get(data, data.rows[2], config, ("suv3", "pct50"))
    assert len(plain.lesions) == len(marked.lesions) == 2
    assert all(torch.equal(a, b) for a, b in zip(plain.lesions, marked.lesions, strict=True))
    assert marked.study.lesions is not None
    assert plain.study.lesions is not None
    assert np.count_nonzero(marked.study.lesions == DISPUTED) > 0
    assert not (plain.study.lesions == DISPUTED).any()
    assert cache.get(data, data.rows[2], config) is plain
