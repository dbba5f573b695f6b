from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the page needs the extra 'demo'")

from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient

from demo.viewer.route import OpenStudies, volume_router
from demo.viewer.studies import examined_study, prepared_study, study_state
from fedpsma.errors import InputError
from fedpsma.io.files import write_json
from fedpsma.io.nifti import write_volume


def write_study(folder: Path, name: str = "made-up") -> Path:
    pet = np.zeros((6, 7, 8), np.float32)
    pet[1, 2, 3] = 9.5
    labels = np.zeros(pet.shape, np.int32)
    labels[1, 2, 3] = 1
    affine = np.diag([4.0, 4.0, 5.0, 1.0])
    write_volume(folder / "pet.nii.gz", pet, affine)
    write_volume(folder / "lesions.nii.gz", labels, affine)
    write_json(folder / "analysis.json", {"study": name, "synthetic": True})
    write_json(folder / "exam.json", {"lesions": [{"lesion_id": "L1", "region": "LIVER"}]})
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_study(tmp_path / "study")


def login(request: Request) -> str:
    user = request.headers.get("x-user")
    if user is None:
        raise HTTPException(401)
    return user


def client(studies, **options):
    application = FastAPI()
    application.include_router(volume_router(studies, **options))
    return TestClient(application)


def test_every_part_comes_compressed_and_is_kept_nowhere(folder):
    studies = OpenStudies()
    token = studies.open(folder)
    assert len(token) == 32
    for name, size in (("pet", 2), ("lesions", 2), ("rotation", 2)):
        answer = client(studies).get(f"/fp-volumes/{token}/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.content) % size == 0
    meta = client(studies).get(f"/fp-volumes/{token}/meta").json()
    assert (meta["study"], meta["synthetic"], meta["ct"]) == ("made-up", True, False)
    assert client(studies).get(f"/fp-volumes/{token}/ct").status_code == 404


@pytest.mark.parametrize("name", ["pet", "meta", "..", "analysis.json", "%2e%2e%2fexam.json"])
def test_who_does_not_know_the_name_gets_nothing(folder, name):
    studies = OpenStudies()
    token = studies.open(folder)
    for wrong in ("0" * 32, token[:-1], token.upper() + "x", ".."):
        assert client(studies).get(f"/fp-volumes/{wrong}/{name}").status_code == 404
    studies.close(token)
    assert client(studies).get(f"/fp-volumes/{token}/pet").status_code == 404


def test_the_login_is_asked_and_the_study_of_another_user_is_not_there(folder):
    studies = OpenStudies()
    token = studies.open(folder, "ada")
    browser, place = client(studies, login=login), f"/fp-volumes/{token}/pet"
    assert browser.get(place).status_code == 401
    assert browser.get(place, headers={"x-user": "eve"}).status_code == 404
    assert browser.get(place, headers={"x-user": "ada"}).status_code == 200


def test_new_outlines_are_those_of_one_session_only(folder):
    studies = OpenStudies()
    one, other = studies.open(folder), studies.open(folder)
    assert one != other
    study = examined_study(study_state(folder)).study
    assert studies.set_labels(one, np.full(study.pet.shape, 5, np.int32), study) == 1
    lesions = [client(studies).get(f"/fp-volumes/{token}/lesions").content for token in (one, other)]
    assert set(np.frombuffer(lesions[0], "<u2")) == {5}
    assert set(np.frombuffer(lesions[1], "<u2")) == {0, 1}
    with pytest.raises(KeyError):
        studies.set_labels("0" * 32, np.zeros(study.pet.shape, np.int32), study)


def test_a_study_is_prepared_once_and_again_when_it_changed(folder):
    first = prepared_study(study_state(folder))
    assert prepared_study(study_state(folder)) is first
    write_study(folder, "analysed anew")
    assert prepared_study(study_state(folder)).meta["study"] == "analysed anew"
    assert sorted(path.name for path in folder.iterdir()) == [
        "analysis.json",
        "exam.json",
        "lesions.nii.gz",
        "pet.nii.gz",
    ]


def test_the_oldest_study_closes_where_too_many_are_open(folder, monkeypatch):
    monkeypatch.setattr("demo.viewer.route._MOST_OPEN", 2)
    studies = OpenStudies()
    tokens = [studies.open(folder) for _ in range(3)]
    codes = [client(studies).get(f"/fp-volumes/{token}/meta").status_code for token in tokens]
    assert codes == [404, 200, 200]


def test_what_is_no_analysis_is_not_opened(tmp_path):
    with pytest.raises(InputError, match="is not an analysis"):
        OpenStudies().open(tmp_path)


def test_the_wire_is_gzip_of_json(folder):
    studies = OpenStudies()
    content = studies.part(studies.open(folder), "meta", None)
    assert json.loads(gzip.decompress(content))["shape"] == [6, 7, 8]
