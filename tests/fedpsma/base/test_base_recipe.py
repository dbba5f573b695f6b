from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedpsma.base.cohorts import write_cohorts
from fedpsma.base.recipe import base_recipe, make_patient
from fedpsma.domain.tracer import Tracer
from fedpsma.io.dataset import read_dataset
from fedpsma.phantom.sites import site_profiles


def test_what_is_measured_on_was_never_learnt_from() -> None:
    recipe = base_recipe()
    learnt, judged, tested = (set(recipe.pairs(split)) for split in ("training", "judging", "testing"))
    assert learnt == judged
    assert not learnt & tested
    assert len(learnt) + len(tested) == len(site_profiles()) * len(Tracer)
    assert len(recipe.jobs("testing")) >= 100


def test_every_site_and_every_tracer_is_learnt_from_and_tested() -> None:
    recipe = base_recipe()
    for split in ("training", "testing"):
        assert {site for site, _ in recipe.pairs(split)} == set(site_profiles())
        assert {tracer for _, tracer in recipe.pairs(split)} == set(Tracer)


def test_no_patient_is_in_two_splits() -> None:
    recipe = base_recipe()
    jobs = [job for split in ("training", "judging", "testing") for job in recipe.jobs(split)]
    assert len({(job.site, job.seed, job.index) for job in jobs}) == len(jobs)


@pytest.mark.slow
def test_cohorts_on_disk_hold_the_patients_of_the_jobs(tmp_path: Path) -> None:
    held_out = (("C", Tracer.PSMA_1007),)
    recipe = base_recipe().model_copy(
        update={"held_out": held_out, "patients_per_pair": {"training": 1, "judging": 1, "testing": 2}}
    )
    (folder,) = write_cohorts(tmp_path, recipe, "testing", workers=1)
    data = read_dataset(folder)
    assert [row.patient for row in data.rows] == ["C0000", "C0001"]
    made = make_patient(recipe.jobs("testing")[1]).study
    read = data.load(data.rows[1])
    assert read.tracer is Tracer.PSMA_1007
    assert read.lesions is not None
    np.testing.assert_array_equal(read.lesions, made.lesions)
