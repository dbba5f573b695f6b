"""Who is held out, and the batches that are cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset, DatasetInfo, StudyRow, write_dataset
from fedpsma.io.nifti import write_volume
from fedpsma.model.config import NetworkConfig
from fedpsma.model.inputs import UNLABELLED
from fedpsma.training.supervised.cohort import HeldOut, patient_batches, split_patients
from fedpsma.training.supervised.recipe import TrainRecipe

TINY = NetworkConfig(channels=(16, 16), norm_groups=4)
RECIPE = TrainRecipe(steps=5, patch_voxels=16)


@pytest.fixture(scope="module")
def data(toy: Callable[[int], Dataset]) -> Dataset:
    return toy(9)


def names(patients) -> set[str]:
    return {one.name for one in patients}


def test_every_data_set_gives_its_share_and_no_patient_is_on_both_sides(data: Dataset) -> None:
    other = replace(data, rows=tuple(row.model_copy(update={"patient": f"q{row.patient}"}) for row in data.rows[:6]))
    split = split_patients([data, other], 1 / 3, seed=1)
    assert [len(entry["validation"]) for entry in split.record()] == [3, 2]
    assert not names(split.learning) & names(split.validation)
    assert len(split.learning) + len(split.validation) == 15


def test_one_pseudonym_in_two_data_sets_is_one_man(data: Dataset) -> None:
    split = split_patients([data, replace(data)], 0.3, seed=2)
    assert not names(split.learning) & names(split.validation)
    assert len(split.validation) == 2 * len(names(split.validation))


def test_the_seed_decides_who_is_held_out(data: Dataset) -> None:
    drawn = [names(split_patients([data], 0.3, seed).validation) for seed in range(6)]
    assert names(split_patients([data], 0.3, 0).validation) == drawn[0]
    assert len({frozenset(one) for one in drawn}) > 2


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_both_sides_hold_a_patient_with_a_lesion(data: Dataset, seed: int, share: float) -> None:
    # Patients 0, 3 and 6 have no lesion, patients 1 and 2 have.
    few = replace(data, rows=tuple(row for row in data.rows if row.id in ("s0", "s1", "s2", "s3", "s6")))
    split = split_patients([few], share, seed)
    for side in (split.validation, split.learning):
        assert len(names(side) & {"p01", "p02"}) == 1
    assert len(names(split.validation) | names(split.learning)) == 5


def test_data_that_cannot_be_learnt_from_is_refused(data: Dataset) -> None:
    bare = replace(data, rows=(data.rows[0], data.rows[1].model_copy(update={"mask": None})))
    with pytest.raises(InputError, match="1 of 2 studies have no lesion mask, the first is s1"):
        split_patients([bare], 0.2, seed=0)
    with pytest.raises(InputError, match="one patient only"):
        split_patients([replace(data, rows=data.rows[:1])], 0.2, seed=0)
    with pytest.raises(InputError, match="no patient has a lesion"):
        split_patients([replace(data, rows=(data.rows[0], data.rows[3]))], 0.2, seed=0)
    with pytest.raises(InputError, match="one patient only has a lesion"):
        split_patients([replace(data, rows=(data.rows[0], data.rows[1], data.rows[3]))], 0.2, seed=0)


def test_a_batch_depends_on_seed_and_step_alone(data: Dataset) -> None:
    split = split_patients([data], 0.2, seed=0)
    first, again = (patient_batches(split.learning, TINY, RECIPE) for _ in range(2))
    later = first.batch(3)
    assert torch.equal(first.batch(0).image, again.batch(0).image)
    assert torch.equal(again.batch(3).image, later.image)
    assert later.image.shape != first.batch(0).image.shape or not torch.equal(later.image, first.batch(0).image)


def test_slabs_span_the_body_and_cubes_are_of_more_patients(data: Dataset) -> None:
    split = split_patients([data], 0.2, seed=0)
    slabs = patient_batches(split.learning, TINY, RECIPE.model_copy(update={"slab_share": 1.0, "patients_per_step": 3}))
    cubes = patient_batches(split.learning, TINY, RECIPE.model_copy(update={"slab_share": 0.0, "patients_per_step": 3}))
    assert cubes.batch(0).image.shape == (6, 5, 16, 16, 16)
    x, y, z = slabs.batch(0).image.shape[2:]
    assert (len(slabs.batch(0).image), z) == (3, 16)
    assert x >= 22
    assert y >= 18
    assert x % TINY.stride == y % TINY.stride == 0


def test_a_cropped_field_without_ct_and_anatomy_gives_batches(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    affine = np.diag([4.0, 4.0, 3.3, 1.0])
    rows = []
    for number in range(3):
        pet = rng.gamma(2, 0.5, (100, 100, 60)).astype(np.float32)
        mask = np.zeros(pet.shape, np.int32)
        mask[40:46, 50:56, 20:28] = 1
        write_volume(tmp_path / f"{number}_pet.nii", pet, affine)
        write_volume(tmp_path / f"{number}_mask.nii", mask, affine)
        rows.append(
            StudyRow(
                id=f"s{number}",
                patient=f"p{number}",
                pet=f"{number}_pet.nii",
                mask=f"{number}_mask.nii",
                spacing=(4, 4, 3.3),
            )
        )
    data = write_dataset(tmp_path, DatasetInfo(name="crops", site="S", contour="manual"), rows)
    split = split_patients([data], 0.2, seed=0)
    recipe = TrainRecipe(steps=5, patch_voxels=64, slab_share=0.5)
    batches = patient_batches(split.learning, NetworkConfig(), recipe)
    for step in range(6):
        batch = batches.batch(step)
        assert not batch.image[:, 3:].any()
        assert (batch.targets.anatomy == UNLABELLED).all()
        assert all(edge % NetworkConfig().stride == 0 for edge in batch.image.shape[2:])
    (held_out,) = HeldOut(split.validation, NetworkConfig())
    assert held_out.patient_id == split.validation[0].name
