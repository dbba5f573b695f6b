from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from fedpsma.commands.phantom import phantom
from fedpsma.errors import InputError
from fedpsma.io.dataset import read_dataset


def run(*arguments):
    app = typer.Typer()
    app.command()(phantom)
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_the_command_writes_a_data_set(tmp_path):
    out = tmp_path / "c"
    result = run(out, "--site", "C", "--patients", "7-8", "--seed", 2, "--spacing", 6, "--follow-up", 1)
    assert result.exit_code == 0, result.output
    assert "2 synthetic patients, 4 studies" in result.output
    data = read_dataset(out)
    assert [row.id for row in data.rows] == ["C0007", "C0007-2", "C0008", "C0008-2"]
    assert {row.spacing for row in data.rows} == {(6.0, 6.0, 6.0)}


def test_it_goes_on_and_the_patient_is_the_same(tmp_path):
    options = ("--site", "B", "--spacing", 6)
    assert run(tmp_path / "one", "--patients", "0-0", *options).exit_code == 0
    assert run(tmp_path / "two", "--patients", 2, *options).exit_code == 0
    assert run(tmp_path / "one", "--patients", 2, *options).exit_code == 0
    for name in ("pet/B0000.nii.gz", "mask/B0001.nii.gz", "truth/B0001.json", "truth/B0000.report.txt"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{out}", "--patients", "many"], "no count and no range"),
        (["{out}", "--patients", "5-3"], "is empty"),
        (["{out}", "--patients", "0"], "is empty"),
        (["{out}", "--patients", "1-2-3"], "no count and no range"),
        (["{out}", "--site", "Z"], "no synthetic site"),
        (["{out}", "--spacing", "0.1"], "not between"),
        ([], "is missing"),
    ],
)
def test_wrong_input_is_named(tmp_path, arguments, message):
    result = run(*(one.format(out=tmp_path / "x") for one in arguments))
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert not (tmp_path / "x").exists()
