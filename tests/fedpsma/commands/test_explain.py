from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from command_line import in_process
from PIL import Image

from fedpsma.analysis import describe
from fedpsma.analysis_folder import write_analysis
from fedpsma.commands.explain import explain
from fedpsma.errors import InputError
from fedpsma.io.nifti import read_volume, write_volume
from fedpsma.model.checkpoint import ModelCard, load_checkpoint, save_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.network import build

CONFIG = NetworkConfig(channels=(16, 16), norm_groups=4)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "drawn.safetensors"
    save_checkpoint(
        path, CONFIG, weights_of(build(CONFIG)), ModelCard(name="drawn", data="none", recipe={}, metrics={})
    )
    return path


@pytest.fixture
def analysed(ball, make_patient, model: Path, tmp_path: Path) -> Path:
    """A PET with two lesions and a CT on disk, and its analysis by the mask; returns the PET."""
    balls = [ball((60, 0, 20), 10, 12.0, anatomy="rib"), ball((-60, 0, 0), 9, 8.0, anatomy="rib")]
    patient = make_patient(balls, size_mm=(160.0, 160.0, 160.0), with_ct=True)
    for name, data in (("pet", patient.study.pet), ("ct", patient.study.ct)):
        write_volume(tmp_path / f"{name}.nii.gz", data, patient.study.affine)
    found = describe(patient.study, patient.prediction)
    card = load_checkpoint(model).card
    write_analysis(tmp_path / "read", patient.study, found, card, synthetic=True, seconds={})
    return tmp_path / "pet.nii.gz"


@pytest.fixture
def run(analysed: Path, model: Path) -> Callable[..., Result]:
    folder = analysed.parent

    def invoke(
        *lesions: str, pet: Path = analysed, ct: Path | None = folder / "ct.nii.gz", net: Path = model
    ) -> Result:
        with_ct = [] if ct is None else ["--ct", str(ct)]
        given = [str(pet), str(folder / "read"), *lesions, "--units", "suv", "--model", str(net), *with_ct]
        return in_process(explain)(*given)

    return invoke


def test_a_lesion_gets_a_picture_maps_and_sums_that_agree(run: Callable[..., Result], analysed: Path) -> None:
    shown = run("L2", "L1", "L2").stdout
    assert [line.split(":")[0] for line in shown.splitlines() if line.startswith("L")] == ["L2", "L1"]
    assert "within the tolerance" in shown
    folder = analysed.parent / "read" / "saliency"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{lesion}{ending}" for lesion in ("L1", "L2") for ending in (".json", ".png", "_ct.nii.gz", "_pet.nii.gz")
    ]
    sums = json.loads((folder / "L1.json").read_text("utf-8"))
    for kind in ("pet", "ct"):
        shares = read_volume(folder / f"L1_{kind}.nii.gz")
        assert shares.data.sum(dtype=float) == pytest.approx(sums[f"by_{kind}"], abs=1e-4)
    assert abs(sums["suspicion"] - sums["without_a_patient"] - sums["by_pet"] - sums["by_ct"]) <= 0.02
    with Image.open(folder / "L1.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("L")))) > 50


def test_input_that_does_not_fit_the_analysis_is_one_line(run: Callable[..., Result], analysed: Path) -> None:
    folder = analysed.parent
    pet = read_volume(analysed)
    write_volume(folder / "hotter.nii.gz", 2 * pet.data, pet.affine)
    write_volume(folder / "shorter.nii.gz", pet.data[..., 1:], pet.affine)
    other = folder / "other.safetensors"
    save_checkpoint(
        other, CONFIG, weights_of(build(CONFIG, seed=9)), ModelCard(name="o", data="", recipe={}, metrics={})
    )
    wrong = [
        ({"lesions": ["L7"]}, "has no lesion 'L7'; give one of L1, L2"),
        ({"ct": None}, "another study than INPUT: it had a CT"),
        ({"pet": folder / "hotter.nii.gz"}, "another study than INPUT: there L1 has another SUVmax"),
        ({"pet": folder / "shorter.nii.gz", "ct": None}, "another study than INPUT: its PET has another grid"),
        ({"net": other}, "was made with another model; give its checkpoint with --model"),
        ({"pet": folder / "none.nii.gz"}, "does not exist"),
    ]
    for change, message in wrong:
        with pytest.raises(InputError) as caught:
            run(*change.pop("lesions", ["L1"]), **change)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (folder / "read" / "saliency").exists()


def test_a_folder_that_is_no_analysis_is_refused(run: Callable[..., Result], analysed: Path) -> None:
    (analysed.parent / "read" / "analysis.json").unlink()
    with pytest.raises(InputError, match="is not an analysis; name a folder that fedpsma analyze wrote"):
        run("L1")
