"""``fedpsma report verify`` as a user meets it: our drafts, reports of others, bad input."""

import json

import pytest
from typer.testing import CliRunner

from fedpsma.errors import InputError
from reporting.commands import report

EXAM = {
    "tracer": "18F-rhPSMA-7.3",
    "indication": "restaging",
    "clinical": {"psa_ng_ml": 6.4, "prostate_status": "removed", "prior_therapy": ["radical prostatectomy 2016"]},
    "technique": {"activity_mbq": 298, "uptake_min": 70},
    "reference_suv": {"blood_pool": 1.5, "liver": 6.6, "spleen": 8.1, "parotid": 17.5},
    "lesions": [
        {
            "lesion_id": "L1",
            "region": "BONE_LSPINE",
            "side": "M",
            "suvmax": 15.9,
            "size_mm": 16,
            "ct_correlate": "L4 vertebral body, sclerotic",
            "model_prob": 0.98,
        },
        {
            "lesion_id": "L2",
            "region": "LN_EXTERNAL_ILIAC",
            "side": "L",
            "suvmax": 12.4,
            "size_mm": 12,
            "ct_correlate": "enlarged",
            "model_prob": 0.94,
        },
    ],
    "prior": {
        "date": "2024-12-03",
        "modality": "PSMA PET/CT",
        "tracer": "18F-rhPSMA-7.3",
        "lesions": [{"lesion_id": "P1", "region": "BONE_LSPINE", "side": "M", "suvmax": 14.7}],
    },
}
FOREIGN = """Clinical information: restaging after radical prostatectomy 2016. PSA 6.4 ng/mL.
Technique: 298 MBq 18F-rhPSMA-7.3, 70 min p.i.

Findings:
No local recurrence. No retroperitoneal lymph node metastases.
Intense PSMA uptake in the L4 vertebral body, 16 mm, SUVmax 15.9 (prior 14.7), sclerotic on CT, unchanged.
New left external iliac node with SUVmax 12.4, 12 mm.
Liver and lungs unremarkable.

Impression:
Metastasis in L4. miT0 N1 M1b (uni).
"""


@pytest.fixture
def exam_file(tmp_path):
    path = tmp_path / "exam.json"
    path.write_text(json.dumps(EXAM), "utf-8")
    return path


@pytest.fixture
def verify(exam_file, tmp_path):
    def run(text, *options):
        path = tmp_path / "text.txt"
        path.write_text(text, "utf-8")
        return CliRunner().invoke(report, ["verify", str(path), str(exam_file), *options])

    return run


@pytest.mark.parametrize("language", ["en", "de"])
def test_our_own_draft_in_every_form_is_clean(exam_file, tmp_path, language):
    made = tmp_path / "out"
    drafted = CliRunner().invoke(
        report, ["draft", str(exam_file), "--out", str(made), "--writer", "template", "--language", language]
    )
    assert drafted.exit_code == 0, drafted.output
    for name in ("draft.json", "draft.md", "draft.txt"):
        result = CliRunner().invoke(report, ["verify", str(made / name), str(exam_file)])
        assert (result.exit_code, "nothing found" in result.output) == (0, True), result.output


def test_a_right_report_of_another_system_is_clean(verify):
    result = verify(FOREIGN)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("15.9", "19.5", 6, "suvmax of L1 is 15.9"),
        ("16 mm", "16 cm", 6, "16"),
        ("L4 vertebral", "L3 vertebral", 6, "L1 BONE_LSPINE"),
        ("left external", "right external", 7, "LN_EXTERNAL_ILIAC L"),
        ("external iliac", "obturator", 7, "L2 LN_EXTERNAL_ILIAC L"),
        ("unchanged", "progressive", 6, "stable"),
        ("New left", "Regressive left", 7, "new"),
        ("No local recurrence", "Local recurrence", 5, "no lesion of the table"),
        ("Liver and lungs unremarkable", "Focus in the liver with SUVmax 9.0", 8, "no lesion of the table"),
        ("M1b (uni)", "M0", 11, "M1b (uni)"),
        ("Metastasis in L4", "No bone metastases", 11, "L1 BONE_LSPINE"),
        ("sclerotic on CT", "lytic on CT", 6, "CT correlate"),
        ("298", "289", 2, "298"),
        ("18F-rhPSMA-7.3", "68Ga-PSMA-11", 2, "the tracer is"),
    ],
)
def test_one_error_is_named_with_its_line_and_what_the_table_says(verify, old, new, line, said):
    result = verify(FOREIGN.replace(old, new, 1))
    assert result.exit_code == 1
    named = [text for text in result.output.splitlines() if text.startswith(f"line {line}:")]
    assert any(said in text for text in named), result.output


def test_a_lesion_left_out_is_named(verify):
    result = verify(FOREIGN.replace("New left external iliac node with SUVmax 12.4, 12 mm.\n", ""))
    assert result.exit_code == 1
    assert "whole report: omissions: L2 LN_EXTERNAL_ILIAC L is not described" in result.output


@pytest.mark.parametrize(
    "sentence",
    ["The bone looks ghastly in L4.", "Der Herd in LWK 4 wirkt verwaschen.", "L4: zurückhaltende Optik."],
)
def test_what_cannot_be_read_never_passes(verify, sentence):
    result = verify(FOREIGN.replace("Liver and lungs unremarkable.", sentence))
    assert result.exit_code == 1
    assert "not understood" in result.output


def test_json_holds_line_check_said_and_table(verify):
    result = verify(FOREIGN.replace("12.4", "14.2"), "--format", "json")
    content = json.loads(result.output)
    assert content["clean"] is False
    assert {"line", "check", "said", "table"} == content["problems"][0].keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ('{"no": "draft"}', "is JSON but no draft"),
        (
            "La TEP montre une fixation du ganglion avec SUVmax 9.8 et sans lésion dans le foie et les os.",
            "not in English",
        ),
        ("x" * 200_001, "holds 200001 characters"),
    ],
)
def test_bad_input_is_one_clear_line(verify, text, message):
    result = verify(text)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


@pytest.mark.parametrize("form", ["draft.md", "draft.txt"])
def test_a_wrong_cell_of_the_lesion_table_is_named(exam_file, tmp_path, form):
    made = tmp_path / "out"
    CliRunner().invoke(report, ["draft", str(exam_file), "--out", str(made), "--writer", "template"])
    lines = (made / form).read_text("utf-8").splitlines()
    at = next(index for index, line in enumerate(lines) if line.strip("| ").startswith("L1"))
    lines[at] = lines[at].replace("15.9", "19.5").replace("stable", "new   ")
    (tmp_path / form).write_text("\n".join(lines), "utf-8")
    result = CliRunner().invoke(report, ["verify", str(tmp_path / form), str(exam_file)])
    assert result.exit_code == 1
    assert f"line {at + 1}: numbers: “19.5”: the suvmax of L1 is 15.9" in result.output
    assert f"line {at + 1}: statements: “new”" in result.output
