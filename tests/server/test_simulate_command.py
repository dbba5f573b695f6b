"""``fedpsma simulate`` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from tiny_trainer import make_checkpoint, make_sites
from typer.testing import CliRunner

import server.commands
from fedpsma.errors import InputError

RUN = CliRunner()
APP = typer.Typer()
APP.command("simulate")(server.commands.simulate)
APP.callback()(lambda: None)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Three sites that train with a few numbers instead of a network."""
    sites = [str(path) for path in make_sites(tmp_path)]
    checkpoint = make_checkpoint(tmp_path / "i.safetensors")
    settings = ["--set", f"init={checkpoint}", "--set", "trainer=tiny_trainer"]
    return ["simulate", *sites, "--out", str(tmp_path / "run"), "--rounds", "2", *settings]


def test_it_ends_with_a_table_of_what_each_site_gave_and_paid(arguments: list[str]) -> None:
    done = RUN.invoke(APP, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    rows = [line.split() for line in done.output.splitlines() if line[:1] in "│|" and any(c in line for c in "ABC")]
    cells = {row[1]: [cell for cell in row if cell not in "│|"] for row in rows if row[1] in "ABC"}
    assert cells == {name: [name, "12", "4.00", "2"] for name in "ABC"}
    assert "model.safetensors" in done.output


def test_running_it_again_goes_on_and_says_the_same(arguments: list[str]) -> None:
    first = RUN.invoke(APP, arguments, catch_exceptions=False)
    again = RUN.invoke(APP, arguments, catch_exceptions=False)
    assert again.exit_code == 0
    assert again.output.splitlines()[-1] == first.output.splitlines()[-1]


def test_without_privacy_has_to_be_asked_for_and_is_said(arguments: list[str]) -> None:
    done = RUN.invoke(APP, [*arguments, "--epsilon", "none"], catch_exceptions=False)
    assert done.output.count("no privacy") == 3


def test_a_bad_site_is_named_while_it_runs(arguments: list[str]) -> None:
    (Path(arguments[1]) / "fault.txt").write_text("not_finite", "utf-8")
    done = RUN.invoke(APP, arguments, catch_exceptions=False)
    assert done.output.count("C was left out (not_finite)") == 2


@pytest.mark.parametrize(
    "option",
    [
        ["--epsilon", "much"],
        ["--epsilon", "-1"],
        ["--epsilon", "inf"],
        ["--epsilon", "1000"],
        ["--set", "delta=2"],
        ["--set", "deltas=2"],
        ["--set", "delta"],
    ],
)
def test_wrong_options_are_wrong_input(arguments: list[str], option: list[str]) -> None:
    with pytest.raises(InputError):
        RUN.invoke(APP, [*arguments, *option], catch_exceptions=False)


def test_a_wrong_data_set_is_named_and_nothing_is_written(arguments: list[str], tmp_path: Path) -> None:
    arguments[1] = str(tmp_path / "none")
    with pytest.raises(InputError, match="is not a folder") as failed:
        RUN.invoke(APP, arguments, catch_exceptions=False)
    assert failed.value.where == arguments[1]
    assert not (tmp_path / "run").exists()
