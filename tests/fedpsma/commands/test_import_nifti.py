"""``fedpsma import nifti`` as a user sees it, and what all import commands share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fedpsma.cli import STOPPED
from fedpsma.commands.import_ import import_
from fedpsma.errors import InputError
from fedpsma.io.dataset import read_dataset
from fedpsma.io.nifti import write_volume

SUV = np.random.default_rng(0).uniform(0, 12, (5, 6, 7)).astype(np.float32)
OPTIONS = ("--name", "test", "--site", "A", "--contour", "suv3", "--units", "suv")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for name in ("s1", "s2"):
        write_volume(tmp_path / f"{name}.nii.gz", SUV, np.eye(4))
    path = tmp_path / "table.csv"
    path.write_text("id,patient,pet\ns1,p1,s1.nii.gz\ns2,p2,s2.nii.gz\n")
    return path


def _import(table: Path, *options: str) -> Result:
    return CliRunner().invoke(import_, ["nifti", str(table), "--out", str(table.parent / "out"), *options])


def test_table_becomes_a_data_set(table: Path) -> None:
    shown = _import(table, *OPTIONS, "--tracer", "68ga-psma-11")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines() == [
        f"{table.parent / 'out'}: 2 studies of 2 patients (2 imported)",
        "  tracer: 68Ga-PSMA-11 2",
        "  with CT: 0, with a mask of lesions: 0",
        "  the caller says that the PET is in SUVbw: s1, s2",
        "  no CT: findings rest on PET alone: s1, s2",
    ]
    assert shown.stderr == ""
    dataset = read_dataset(table.parent / "out")
    assert (dataset.info.site, dataset.info.contour, dataset.info.tracer) == ("A", "suv3", "68Ga-PSMA-11")


def test_refused_study_is_one_line_and_exit_code_2_until_it_is_mended(table: Path) -> None:
    (table.parent / "s1.nii.gz").write_text("not a volume")
    shown = _import(table, *OPTIONS)
    assert shown.exit_code == 2
    assert len(shown.stderr.splitlines()) == 1
    assert shown.stderr.startswith(f"refused: {table}, line 2: {table.parent / 's1.nii.gz'}: is not a whole NIfTI file")
    assert "1 study of 1 patient (1 refused, 1 imported)" in shown.stdout
    write_volume(table.parent / "s1.nii.gz", SUV, np.eye(4))
    mended = _import(table, *OPTIONS)
    assert mended.exit_code == 0
    assert "2 studies of 2 patients (1 imported, 1 kept)" in mended.stdout


def test_nothing_imported_is_said_and_leaves_no_folder(table: Path) -> None:
    table.write_text("id,patient,pet\ns1,p1,table.csv\n")
    shown = _import(table, *OPTIONS)
    assert shown.exit_code == 2
    assert shown.stdout == f"{table.parent / 'out'}: nothing was imported (1 refused)\n"
    assert not (table.parent / "out").exists()


def test_notes_that_differ_in_numbers_alone_are_gathered(table: Path) -> None:
    for name, holes in (("s1", 1), ("s2", 2)):
        pet = SUV.copy()
        pet[:holes] = np.nan
        write_volume(table.parent / f"{name}.nii.gz", pet, np.eye(4))
    shown = _import(table, *OPTIONS)
    assert "  42 voxels without a number (20.0%) were set to 0: s1, s2\n" in shown.stdout


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--contour", "suv2"], "options: contour: Input should be"),
        (["--tracer", "PSMA"], "--tracer: 'PSMA' is not a known tracer"),
    ],
)
def test_wrong_options_are_named_and_write_nothing(table: Path, options: list[str], named: str) -> None:
    shown = _import(table, *OPTIONS, *options)
    assert isinstance(shown.exception, InputError)
    assert named in str(shown.exception)
    assert not (table.parent / "out").exists()


def test_wrong_line_stops_before_anything_is_written(table: Path) -> None:
    table.write_text("id,patient,pet\ns1,p1,s1.nii.gz\ns2,p2,nowhere.nii.gz\n")
    shown = _import(table, *OPTIONS)
    assert isinstance(shown.exception, InputError)
    assert "line 3: pet:" in str(shown.exception)
    assert not (table.parent / "out").exists()


@pytest.mark.parametrize("command", ["nifti", "nnunet", "bids", "dicom"])
def test_every_layout_shares_the_options_and_names_the_exit_code(command: str) -> None:
    shown = CliRunner().invoke(import_, [command, "--help"], terminal_width=200)
    assert shown.exit_code == 0
    for option in ("--out", "--name", "--site", "--contour", "--tracer"):
        assert option in shown.output
    assert "exit code 2" in shown.output


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_import_leaves_what_was_imported_and_the_same_command_goes_on(
    tmp_path: Path, ending: signal.Signals
) -> None:
    count = 120
    big = np.random.default_rng(0).uniform(0, 12, (64, 64, 64)).astype(np.float32)
    write_volume(tmp_path / "pet.nii.gz", big, np.eye(4))
    lines = "".join(f"s{number},p{number},pet.nii.gz\n" for number in range(count))
    (tmp_path / "table.csv").write_text("id,patient,pet\n" + lines)
    out = tmp_path / "out"
    arguments = ["import", "nifti", str(tmp_path / "table.csv"), "--out", str(out), *OPTIONS]
    # A shell starts what it puts into the background, and its children, with Ctrl-C ignored.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", heeding + "from fedpsma.cli import main; main()", *arguments]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not (out / "studies.jsonl").is_file():
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(ending)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert told.splitlines()[-1] == STOPPED
    first = len(read_dataset(out).rows)
    assert 0 < first < count
    assert not [path for path in out.rglob(".*")]
    again = CliRunner().invoke(import_, arguments[1:])
    assert again.exit_code == 0
    assert f"{count} studies of {count} patients ({first} kept, {count - first} imported)" in again.stdout
