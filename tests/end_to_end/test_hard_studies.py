"""Studies that are hard to read, through the real command line: a table or one line that says why there is none.

Where a test is about what is found, a stand-in for the network suspects every voxel above SUV 4, so that the outcome
does not depend on how well a model was trained; the last tests take the network that ships with the package.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from fedpsma.cli import main
from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.exam import Exam
from fedpsma.io.exam_file import read_exam
from fedpsma.io.nifti import read_volume
from fedpsma.model.checkpoint import ModelCard, save_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.network import DenseLogits, LesionNet, build
from fedpsma.phantom.patient import PhantomOptions, draw_patient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CONFIG = NetworkConfig(channels=(16, 16), norm_groups=4)
Centre = tuple[float, float, float]


class _SeesUptake(LesionNet):
    """Suspects what is above SUV 4, and takes everything for ``place``."""

    place = "rib"

    def forward(self, image: torch.Tensor, tracer: torch.Tensor) -> DenseLogits:
        suv = 20 * image[:, 1]
        zero = torch.zeros_like(suv)
        anatomy = torch.zeros(len(suv), self.config.anatomy_classes, *(size // 2 for size in suv.shape[1:]))
        anatomy[:, anatomy_number(self.place)] = 50
        return DenseLogits(torch.stack([zero, zero, 5 * (suv - 4)], dim=1), anatomy)


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it wrote."""

    code: int
    shown: str
    error: str
    out: Path

    @property
    def exam(self) -> Exam:
        return read_exam(self.out / "exam.json")

    @property
    def table(self) -> list[dict[str, str]]:
        with (self.out / "lesions.csv").open() as stream:
            return list(csv.DictReader(stream))

    @property
    def notes(self) -> str:
        return " ".join(json.loads((self.out / "analysis.json").read_text("utf-8"))["notes"])


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fedpsma", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        shown, error = capsys.readouterr()
        assert "Traceback" not in shown + error
        return int(left.value.code or 0), shown, error

    return run


@pytest.fixture
def analyze(command: Callable[..., tuple[int, str, str]], tmp_path: Path) -> Callable[..., Outcome]:
    """Run ``fedpsma analyze`` with the network that ships with the package; a refusal is one line."""

    def run(pet: Path, *options: object) -> Outcome:
        out = tmp_path / f"read {pet.name} {len(list(tmp_path.iterdir()))}"
        code, shown, error = command("analyze", pet, "--units", "suv", "--out", out, *options)
        if code:
            assert (code, len(error.strip().splitlines()), out.exists()) == (2, 1, False), error
        return Outcome(code, shown, error, out)

    return run


@pytest.fixture
def by_uptake(
    analyze: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """The same with the stand-in for the network, and without a judge."""
    model = tmp_path / "stand-in.safetensors"
    save_checkpoint(model, CONFIG, weights_of(build(CONFIG)), ModelCard(name="s", data="none", recipe={}, metrics={}))

    def run(pet: Path, *options: object, place: str = "rib") -> Outcome:
        net = _SeesUptake(CONFIG)
        net.place = place
        monkeypatch.setattr("fedpsma.model.checkpoint.load_network", lambda _path: net)
        return analyze(pet, "--model", model, *options)

    return run


def _body(shape: tuple[int, int, int], spacing: Centre, balls: list[tuple[Centre, float, float]]) -> nib.Nifti1Image:
    """An elliptic trunk of SUV 0.8, and balls (centre in mm from the middle, radius, SUV) with soft edges."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(size - 1) * step / 2 for size, step in zip(shape, spacing, strict=True)]
    x, y, z = (
        affine[axis, 3] + np.arange(shape[axis]).reshape([-1 if one == axis else 1 for one in range(3)]) * spacing[axis]
        for axis in range(3)
    )
    half = [max(size * step / 2 - 12, step) for size, step in zip(shape[:2], spacing[:2], strict=True)]
    pet = np.where((x / half[0]) ** 2 + (y / half[1]) ** 2 + 0 * z < 1, 0.8, 0.0)
    for (right, anterior, superior), radius, suv in balls:
        away = np.sqrt((x - right) ** 2 + (y - anterior) ** 2 + (z - superior) ** 2)
        pet = np.maximum(pet, suv / (1 + np.exp(np.clip((away - radius) / 1.0, -50, 50))))
    return nib.Nifti1Image(pet.astype(np.float32), affine)


def _saved(image: nib.Nifti1Image, path: Path) -> Path:
    nib.save(image, path)
    return path


TWO = [((60.0, 0.0, 40.0), 12.0, 12.0), ((-60.0, 10.0, -20.0), 10.0, 8.0)]


@pytest.mark.parametrize("axes", ["LPS", "LAS", "RPI", "PIR", "SLA", "IAL"])
def test_a_turned_study_gives_the_same_table(by_uptake: Callable[..., Outcome], tmp_path: Path, axes: str) -> None:
    straight = _body((76, 44, 50), (4.0, 4.0, 4.0), TWO)
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(straight.affine), nib.orientations.axcodes2ornt(tuple(axes))
    )
    turned = straight.as_reoriented(turn)
    assert turned.shape != straight.shape or not np.array_equal(turned.get_fdata(), straight.get_fdata())
    one = by_uptake(_saved(straight, tmp_path / "straight.nii"), "--tracer", "68Ga-PSMA-11")
    other = by_uptake(_saved(turned, tmp_path / "turned.nii"), "--tracer", "68Ga-PSMA-11")
    assert [row["side"] for row in one.table] == ["R", "L"]
    assert one.table == other.table
    assert (
        read_volume(one.out / "lesions.nii.gz").data.tobytes()
        == read_volume(other.out / "lesions.nii.gz").data.tobytes()
    )


def test_a_header_with_two_orientations_is_refused(by_uptake: Callable[..., Outcome], tmp_path: Path) -> None:
    image = _body((60, 44, 50), (4.0, 4.0, 4.0), TWO)
    image.set_qform(np.diag([-4.0, 4.0, 4.0, 1.0]), code=1)
    image.set_sform(image.affine, code=1)
    assert "contradicts itself" in by_uptake(_saved(image, tmp_path / "two.nii")).error


def test_a_slightly_tilted_patient_keeps_his_sides(by_uptake: Callable[..., Outcome], tmp_path: Path) -> None:
    image = _body((76, 44, 50), (4.0, 4.0, 4.0), TWO)
    angle = np.deg2rad(8)
    tilt = np.eye(4)
    tilt[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    tilted = by_uptake(
        _saved(nib.Nifti1Image(image.get_fdata(dtype=np.float32), tilt @ image.affine), tmp_path / "t.nii")
    )
    assert [row["side"] for row in tilted.table] == ["R", "L"]


def test_without_ct_the_reader_is_told_and_no_node_has_a_size(
    by_uptake: Callable[..., Outcome], tmp_path: Path
) -> None:
    found = by_uptake(_saved(_body((60, 44, 50), (4.0, 4.0, 4.0), TWO), tmp_path / "pet.nii"), place="external_iliac")
    assert found.code == 0
    assert "no CT" in found.notes
    assert [(one.region.is_node, one.size_mm, one.ct_correlate) for one in found.exam.lesions] == [
        (True, None, None)
    ] * 2


def test_an_unknown_tracer_is_said_and_gives_no_expression(
    by_uptake: Callable[..., Outcome], command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    pet = _saved(_body((60, 44, 50), (4.0, 4.0, 4.0), TWO), tmp_path / "pet.nii")
    found = by_uptake(pet)
    assert found.exam.tracer is None
    assert "tracer unknown" in found.notes
    assert command("stage", found.out / "exam.json", "--out", tmp_path / "assessment.json")[0] == 0
    expression = json.loads((tmp_path / "assessment.json").read_text("utf-8"))["expression"]
    assert set(expression.values()) == {None}
    assert by_uptake(pet, "--tracer", "99mTc-something").error.startswith("error: --tracer: '99mTc-something' is not a")


def test_no_lesion_is_said_and_staged(
    by_uptake: Callable[..., Outcome], command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    found = by_uptake(
        _saved(_body((60, 44, 50), (4.0, 4.0, 4.0), []), tmp_path / "pet.nii"), "--tracer", "68Ga-PSMA-11"
    )
    assert "No lesion found." in found.shown
    assert (found.exam.lesions, found.exam.psma_vol_ml) == ([], 0.0)
    assert not read_volume(found.out / "lesions.nii.gz").data.any()
    assert command("stage", found.out / "exam.json", "--out", tmp_path / "assessment.json")[0] == 0


def test_three_hundred_lesions_are_all_in_the_table(
    by_uptake: Callable[..., Outcome], command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    places = [(x, y, z) for z in range(-360, 361, 30) for y in (-30, 0, 30) for x in (-75, -25, 25, 75)]
    balls = [((*map(float, place),), 8.0, 8.0 + number % 12) for number, place in enumerate(places)]
    pet = _saved(_body((76, 40, 190), (4.0, 4.0, 4.0), balls), tmp_path / "pet.nii")
    found = by_uptake(pet, "--tracer", "68Ga-PSMA-11")
    assert len(places) == len(found.exam.lesions) == len(found.table) == 300
    assert "260 more in lesions.csv" in found.shown
    labels = read_volume(found.out / "lesions.nii.gz").data
    assert len(np.unique(labels)) == 301
    sides = [one.side for one in found.exam.lesions]
    assert (sides.count("L"), sides.count("R")) == (150, 150)
    assert command("stage", found.out / "exam.json", "--out", tmp_path / "assessment.json")[0] == 0
    assert len(json.loads((tmp_path / "assessment.json").read_text("utf-8"))["psma_rads"]) == 300


@pytest.mark.parametrize("corner", [(0, 0, 0), (59, 43, 49), (0, 21, 49), (30, 0, 25)])
def test_a_hot_spot_at_the_edge_is_measured_as_far_as_it_is_seen(
    by_uptake: Callable[..., Outcome], tmp_path: Path, corner: tuple[int, int, int]
) -> None:
    image = _body((60, 44, 50), (4.0, 4.0, 4.0), [])
    where = np.asarray(image.affine[:3, :3] @ corner + image.affine[:3, 3])
    image = _body((60, 44, 50), (4.0, 4.0, 4.0), [((*where,), 14.0, 10.0)])
    found = by_uptake(_saved(image, tmp_path / "pet.nii"), "--tracer", "68Ga-PSMA-11")
    (lesion,) = found.exam.lesions
    assert lesion.suvmax == pytest.approx(10.0, abs=0.06)
    seen = float((image.get_fdata() >= 4.5).sum()) * 0.064
    assert lesion.volume_ml == pytest.approx(seen, rel=0.05)


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 5.0), (5.0, 2.0, 2.0), (3.0, 4.0, 1.0)])
def test_voxels_that_are_no_cubes_change_no_volume_and_no_side(
    by_uptake: Callable[..., Outcome], tmp_path: Path, spacing: Centre
) -> None:
    shape = tuple(round(size / step) for size, step in zip((304, 176, 200), spacing, strict=True))
    found = by_uptake(_saved(_body(shape, spacing, TWO), tmp_path / "pet.nii"), "--tracer", "68Ga-PSMA-11")
    assert [one.side for one in found.exam.lesions] == ["R", "L"]
    for lesion, (_, radius, _) in zip(found.exam.lesions, TWO, strict=True):
        ball = 4 / 3 * np.pi * (radius + 0.2) ** 3 / 1000  # the edge at 45 % lies 0.2 mm outside the one at 50 %
        assert lesion.volume_ml == pytest.approx(ball, rel=0.12)
        assert float(found.table[0]["pet_longest_mm"]) > 0


TINY = [(8, 8, 8), (1, 1, 1), (60, 44, 1), (60, 44, 2), (60, 44, 3), (60, 1, 50), (1, 44, 50), (17, 3, 5)]


@pytest.mark.parametrize("shape", TINY)
@pytest.mark.parametrize("hot", [False, True])
def test_a_tiny_field_of_view_has_a_table(
    by_uptake: Callable[..., Outcome], tmp_path: Path, shape: tuple[int, int, int], hot: bool
) -> None:
    balls = [((0.0, 0.0, 0.0), 8.0, 10.0)] if hot else []
    found = by_uptake(_saved(_body(shape, (4.0, 4.0, 4.0), balls), tmp_path / "pet.nii"), "--tracer", "68Ga-PSMA-11")
    assert [one.suvmax for one in found.exam.lesions] == pytest.approx([10.0] * hot, abs=0.3)
    if shape[2] < 5:
        assert "the midline was not found" in found.notes
    assert (found.out / "mip.png").is_file()


def test_a_pet_without_uptake_is_refused(by_uptake: Callable[..., Outcome], tmp_path: Path) -> None:
    empty = nib.Nifti1Image(np.zeros((20, 20, 20), dtype=np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    assert "has a maximum of 0, which is no SUVbw" in by_uptake(_saved(empty, tmp_path / "pet.nii")).error


@pytest.mark.parametrize(
    ("shape", "spacing", "suv"),
    [
        ((8, 8, 8), 4.0, 20.0),
        ((96, 60, 1), 4.0, 20.0),
        ((96, 60, 3), 4.0, 20.0),
        ((60, 44, 50), 4.0, 20.0),
        ((60, 44, 50), 4.0, 800.0),
        ((120, 88, 40), 2.0, 20.0),
        ((12, 9, 10), 20.0, 20.0),
    ],
)
def test_the_networks_own_answer_to_a_hard_study_is_a_whole_table(
    analyze: Callable[..., Outcome], tmp_path: Path, shape: tuple[int, int, int], spacing: float, suv: float
) -> None:
    image = _body(shape, (spacing, spacing, 5.0 if spacing == 2 else spacing), [((0.0, 0.0, 0.0), 12.0, suv)])
    found = analyze(_saved(image, tmp_path / "pet.nii"))
    numbers = np.unique(read_volume(found.out / "lesions.nii.gz").data)
    assert numbers.tolist() == list(range(len(found.exam.lesions) + 1))
    assert len(found.table) == len(found.exam.lesions)


def test_the_networks_table_does_not_depend_on_how_the_study_is_stored(
    analyze: Callable[..., Outcome], tmp_path: Path
) -> None:
    study = draw_patient("C", 3, 7, PhantomOptions(spacing_mm=4.0)).study
    tables: list[Any] = []
    for axes in ("RAS", "PIR"):
        options: list[object] = ["--tracer", study.tracer]
        for kind, data in (("pet", study.pet), ("ct", study.ct)):
            image = nib.Nifti1Image(data[..., :110].astype(np.float32), study.affine)
            turn = nib.orientations.ornt_transform(
                nib.orientations.io_orientation(study.affine), nib.orientations.axcodes2ornt(tuple(axes))
            )
            _saved(image.as_reoriented(turn), tmp_path / f"{axes}_{kind}.nii")
        found = analyze(tmp_path / f"{axes}_pet.nii", "--ct", tmp_path / f"{axes}_ct.nii", *options)
        tables.append(found.table)
    assert tables[0] == tables[1]
    assert len(tables[0]) >= 2
