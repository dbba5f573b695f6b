"""``fedpsma stage``: file in, summary and file out."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
import typer
from staging_exams import exam, lesion
from typer.testing import CliRunner

from fedpsma.commands.stage import stage
from fedpsma.domain.assessment import Assessment
from fedpsma.errors import InputError
from fedpsma.io.exam_file import write_record
from fedpsma.staging import StagingOptions


def run(*arguments):
    app = typer.Typer()
    app.command()(stage)
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_summary_and_file(tmp_path):
    rows = [lesion("L1", "LN_OBTURATOR", "L"), lesion("L2", "BONE_RIB", "R", 3.0, ct_correlate="no CT correlate")]
    write_record(tmp_path / "exam.json", exam(*rows))
    result = run(tmp_path / "exam.json", "--out", tmp_path / "assessment.json")
    assert result.exit_code == 0
    assert "miT0 N1 (OBL) M0" in result.stdout
    assert "L2 3B" in result.stdout
    assert "no clinician has reviewed" in result.stdout
    written = Assessment.model_validate_json((tmp_path / "assessment.json").read_text("utf-8"))
    assert written.mitnm_string == "miT0 N1 (OBL) M0"
    assert written.trace


def test_policies_are_options_and_their_effect_is_named(tmp_path):
    rows = [lesion("L1", "LN_OBTURATOR", "L"), lesion("L2", "LN_OBTURATOR", "R")]
    write_record(tmp_path / "exam.json", exam(*rows))
    assert "policy count_sides: otherwise miT0 N2 (OBL, OBR) M0" in run(tmp_path / "exam.json").stdout
    assert "miT0 N2 (OBL, OBR) M0" in run(tmp_path / "exam.json", "--set", "count_sides=yes").stdout.splitlines()[0]
    assert "N1a" in run(tmp_path / "exam.json", "--set", "promise=v1").stdout


def test_unknown_fields_are_named_on_stderr(tmp_path):
    record = exam(lesion("L1", "LIVER", "R")).model_dump(mode="json")
    record["lesions"][0]["suv_max"] = 3
    (tmp_path / "exam.json").write_text(json.dumps({"title": "x", "exam": record}), "utf-8")
    result = run(tmp_path / "exam.json")
    assert result.exit_code == 0
    assert "lesions[0].suv_max" in result.stderr


def test_a_wrong_file_is_an_input_error_and_writes_nothing(tmp_path):
    (tmp_path / "exam.json").write_text('{"tracer": "water"}', "utf-8")
    result = run(tmp_path / "exam.json", "--out", tmp_path / "assessment.json")
    assert isinstance(result.exception, InputError)
    assert not (tmp_path / "assessment.json").exists()


def test_every_policy_can_be_set_and_is_named_in_the_help(tmp_path):
    write_record(tmp_path / "exam.json", exam(lesion("L1", "LN_OBTURATOR", "L", size_mm=7)))
    told = run("--help").stdout
    for one in fields(StagingOptions):
        assert one.name in told
    wide = run(tmp_path / "exam.json", "--set", "node_short_axis_pelvis_mm=6").stdout
    assert "L1 5" in wide
    assert "policy node_short_axis_pelvis_mm: otherwise PSMA-RADS of L1 4" in wide


@pytest.mark.parametrize(
    "wrong", ["count_sides", "sides=yes", "count_sides=perhaps", "change_percent=-5", "promise=v3"]
)
def test_a_wrong_policy_is_an_input_error(tmp_path, wrong):
    write_record(tmp_path / "exam.json", exam(lesion("L1", "LN_OBTURATOR", "L")))
    result = run(tmp_path / "exam.json", "--set", wrong, "--out", tmp_path / "assessment.json")
    assert isinstance(result.exception, InputError)
    assert wrong.split("=")[0] in str(result.exception)
    assert not (tmp_path / "assessment.json").exists()


def test_the_page_is_not_written_over_the_record(tmp_path):
    write_record(tmp_path / "exam.json", exam(lesion("L1", "LN_OBTURATOR", "L")))
    assert isinstance(run(tmp_path / "exam.json", "--out", tmp_path / "stage.html").exception, InputError)
