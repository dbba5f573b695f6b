"""Bodies from label maps: a map made of the parametric body comes back, real maps keep every organ and its side."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.errors import InputError
from fedpsma.phantom.anatomy import build_anatomy
from fedpsma.phantom.body import draw_body
from fedpsma.phantom.labelmap import LabelMap
from fedpsma.phantom.mapfit import map_organs
from fedpsma.phantom.providers import PARAMETRIC
from fedpsma.phantom.tables import tissue_classes, tissue_number

NAMES = ("spleen", "kidneys", "liver", "bladder", "lungs", "brain", "heart", "stomach", "prostate", "head_glands")
LABELS = {str(number): name for number, name in enumerate(NAMES, start=1)}


def body(seed, prostate="in_situ"):
    return draw_body(np.random.default_rng(seed), prostate)


def organ_labels(anatomy):
    labels = np.zeros(anatomy.tissue.shape, dtype=np.uint8)
    for number, name in LABELS.items():
        tissues = [tissue_number(tissue) for tissue in map_organs()[name].tissues]
        labels[np.isin(anatomy.tissue, tissues)] = int(number)
    return labels


def write_map(path, labels, spacing=4.0, names=LABELS):
    """Write labels (x to the right) as an LAS image far from the origin, as scanners do."""
    affine = np.diag([-spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (spacing * (labels.shape[0] - 1) + 31.0, -200.0, -1400.0)
    nib.save(nib.Nifti1Image(labels[::-1], affine), path)
    (path.parent / "labels.json").write_text(json.dumps(names))


@pytest.fixture(scope="module")
def source():
    return build_anatomy(body(21), 4.0)


@pytest.fixture(scope="module")
def folder(source, tmp_path_factory):
    place = tmp_path_factory.mktemp("maps")
    write_map(place / "one.nii.gz", organ_labels(source))
    return place


@pytest.fixture(scope="module")
def rebuilt(folder):
    return LabelMap.read(folder).provide(0, body(5), 4.0)


def volume_ml(anatomy, *tissues):
    return np.isin(anatomy.tissue, [tissue_number(one) for one in tissues]).sum() * anatomy.grid.voxel_ml


def centre_mm(anatomy, *tissues):
    voxels = np.argwhere(np.isin(anatomy.tissue, [tissue_number(one) for one in tissues]))
    return voxels.mean(axis=0) * anatomy.grid.spacing_mm + anatomy.grid.origin_mm


def test_the_plain_provider_is_the_parametric_body():
    parameters = body(3)
    ours, theirs = PARAMETRIC.provide(9, parameters, 6.0), build_anatomy(parameters, 6.0)
    assert np.array_equal(ours.tissue, theirs.tissue)
    assert ours.parameters is parameters


@pytest.mark.parametrize("organ", ["liver", "spleen", "kidney", "bladder", "lung", "stomach", "parotid"])
def test_organs_of_the_map_come_back_with_volume_and_place(source, rebuilt, organ):
    assert volume_ml(rebuilt, organ) == pytest.approx(volume_ml(source, organ), rel=0.03)
    lungs, bladder = centre_mm(rebuilt, "lung"), centre_mm(rebuilt, "bladder")
    offset = centre_mm(rebuilt, organ) - [lungs[0], lungs[1], bladder[2]]
    lungs, bladder = centre_mm(source, "lung"), centre_mm(source, "bladder")
    assert offset == pytest.approx(centre_mm(source, organ) - [lungs[0], lungs[1], bladder[2]], abs=2.5)


def test_scale_and_field_of_view_follow_the_map(source, rebuilt):
    assert rebuilt.parameters.scale == pytest.approx(source.parameters.scale, abs=0.06)
    length = np.ptp(rebuilt.parameters.field)
    assert length == pytest.approx(np.ptp(source.parameters.field), abs=12)
    assert rebuilt.parameters.weight_kg == body(5).weight_kg


def test_left_stays_left(rebuilt):
    assert centre_mm(rebuilt, "liver")[0] > 40
    assert centre_mm(rebuilt, "gall_bladder")[0] > 20
    assert centre_mm(rebuilt, "spleen")[0] < -60
    assert centre_mm(rebuilt, "heart", "myocardium")[0] < -10
    x = np.argwhere(rebuilt.tissue == tissue_number("kidney"))[:, 0] * 4 + rebuilt.grid.origin_mm[0]
    assert 0.3 < (x > 0).mean() < 0.7
    assert np.abs(x).min() > 15


def test_the_map_comes_back_mirrored_where_the_person_is(source, tmp_path):
    write_map(tmp_path / "inverted.nii.gz", organ_labels(source)[::-1])
    mirrored = LabelMap.read(tmp_path).provide(0, body(5), 4.0)
    assert centre_mm(mirrored, "liver")[0] < -40


def test_skeleton_and_bowel_stay_in_the_body(source, rebuilt):
    for tissue in ("rib", "pelvic_bone", "lumbar_spine", "thoracic_spine", "ileum", "jejunum", "aorta", "pancreas"):
        assert volume_ml(rebuilt, tissue) == pytest.approx(volume_ml(source, tissue), rel=0.45), tissue
    changed = rebuilt.classes != tissue_classes()[rebuilt.tissue]
    assert set(tissue_classes()[rebuilt.tissue[changed]]) == {anatomy_number("soft_tissue")}


def test_the_same_index_gives_the_same_body_and_indices_run_round(folder, source, tmp_path):
    provider = LabelMap.read(folder)
    first, again = provider.provide(0, body(5), 6.0), provider.provide(1, body(5), 6.0)
    assert np.array_equal(first.tissue, again.tissue)
    assert np.array_equal(first.classes, again.classes)


def test_a_removed_prostate_is_its_bed(folder):
    removed = LabelMap.read(folder).provide(0, body(5, "removed"), 5.0)
    assert volume_ml(removed, "prostate") == 0
    assert volume_ml(removed, "prostate_bed") > 5


def test_what_the_map_lacks_stays_parametric(source, tmp_path):
    labels = organ_labels(source)
    labels[np.isin(labels, [6, 7, 8, 9, 10])] = 0
    write_map(tmp_path / "few.nii.gz", labels)
    few = LabelMap.read(tmp_path).provide(0, body(5), 4.0)
    for tissue in ("heart", "stomach", "prostate", "parotid"):
        assert volume_ml(few, tissue) > 0.2 * volume_ml(source, tissue), tissue


def test_several_labels_may_name_one_organ_and_null_leaves_one_out(source, tmp_path):
    labels = organ_labels(source)
    half = labels == 5
    half[: labels.shape[0] // 2] = False
    labels[half] = 11
    labels[0, 0, 0] = 12
    write_map(tmp_path / "lobes.nii.gz", labels, names=LABELS | {"11": "lungs", "12": None})
    lobes = LabelMap.read(tmp_path).provide(0, body(5), 5.0)
    assert volume_ml(lobes, "lung") == pytest.approx(volume_ml(source, "lung"), rel=0.05)


class TestRefusals:
    def test_a_label_nobody_named(self, source, tmp_path):
        labels = organ_labels(source)
        labels[5, 5, 5] = 33
        write_map(tmp_path / "odd.nii.gz", labels)
        with pytest.raises(InputError, match="labels that nobody named: 33"):
            LabelMap.read(tmp_path).provide(0, body(5), 6.0)

    def test_a_map_without_lungs(self, source, tmp_path):
        labels = organ_labels(source)
        labels[labels == 5] = 0
        write_map(tmp_path / "pelvis.nii.gz", labels)
        with pytest.raises(InputError, match="has no lungs"):
            LabelMap.read(tmp_path).provide(0, body(5), 6.0)

    def test_labels_without_names(self, source, tmp_path):
        write_map(tmp_path / "one.nii.gz", organ_labels(source))
        (tmp_path / "labels.json").unlink()
        with pytest.raises(InputError, match="nobody knows what the labels mean"):
            LabelMap.read(tmp_path)

    @pytest.mark.parametrize("names", [{"1": "thymus"}, {"one": "liver"}, {"0": "liver"}, [1], {"1": 5}])
    def test_names_that_are_not_organs(self, source, tmp_path, names):
        write_map(tmp_path / "one.nii.gz", organ_labels(source)[::8, ::8, ::8], names=names)
        with pytest.raises(InputError, match=r"labels\.json"):
            LabelMap.read(tmp_path)

    def test_an_image_instead_of_labels(self, tmp_path):
        write_map(tmp_path / "pet.nii.gz", np.linspace(0, 3, 1000, dtype=np.float32).reshape(10, 10, 10))
        with pytest.raises(InputError, match="something else than labels"):
            LabelMap.read(tmp_path).provide(0, body(5), 6.0)

    def test_a_folder_without_maps(self, tmp_path):
        with pytest.raises(InputError, match="holds no organ map"):
            LabelMap.read(tmp_path)


@pytest.mark.shared
def test_real_maps_keep_their_organs_and_sides(shared, tmp_path):
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps(LABELS))
    provider = LabelMap.read(shared / "data" / "autopet3_organ_labels" / "psma", labels)
    assert len(provider.maps) == 120
    for index in (17, 88):
        image = nib.load(provider.maps[index])
        voxel_ml = np.prod(image.header.get_zooms()[:3]) / 1000
        counts = np.bincount(np.asarray(image.dataobj).astype(np.uint8).ravel(), minlength=11) * voxel_ml
        anatomy = provider.provide(index, body(index), 4.0)
        for number, tissue in ((1, "spleen"), (2, "kidney"), (3, "liver"), (4, "bladder"), (5, "lung"), (8, "stomach")):
            assert volume_ml(anatomy, tissue) == pytest.approx(counts[number], rel=0.05), tissue
        assert centre_mm(anatomy, "liver")[0] > 30
        assert centre_mm(anatomy, "spleen")[0] < -50


def test_cohorts_of_other_maps_have_other_names(tmp_path: Path) -> None:
    told = set()
    for name, content in (("one", b"1"), ("two", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "map.nii").write_bytes(content)
        (tmp_path / name / "labels.json").write_text('{"1": "liver"}')
        told.add(LabelMap.read(tmp_path / name).told)
    assert len(told) == 2
    (tmp_path / "one" / "labels.json").write_text('{"1": ["liver"]}')
    with pytest.raises(InputError, match="not an organ"):
        LabelMap.read(tmp_path / "one")
