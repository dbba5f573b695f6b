"""FHIR R4: values equal the table, every reference resolves, and no code outside a required binding gets out."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from reporting.exporters.fhir import bundle_of
from reporting.exporters.fhir_model import Bundle, DiagnosticReport
from reporting.exporters.registry import export
from reporting.exporters.table import table_rows
from reporting.exporters.text import as_text

SUV_NAMES = {"suvmax": "SUVmax", "suvmean": "SUVmean", "suvpeak": "SUVpeak in the sphere of 1 ml"}


def _resources(report):
    bundle = json.loads(export(report, "fhir").content)
    main, *observations = [entry["resource"] for entry in bundle["entry"]]
    return bundle, main, observations


def _component(observation, text):
    return next((one for one in observation["component"] if one["code"].get("text") == text), None)


def test_values_read_back_equal(draft_report):
    _, _, observations = _resources(draft_report)
    for row, one in zip(table_rows(draft_report), observations, strict=False):
        assert one["identifier"] == [{"value": row.lesion.lesion_id}]
        for name, text in {
            "suvmax": "SUVmax",
            "suvmean": "SUVmean",
            "suvpeak": "SUVpeak in the sphere of 1 ml",
        }.items():
            found = _component(one, text)
            assert (found["valueQuantity"]["value"] if found else None) == row.measured(name)
            assert found is None or found["valueQuantity"]["code"] == "{SUVbw}g/ml"
        assert _component(one, "Volume")["valueQuantity"]["value"] == row.lesion.volume_ml
        size = "Short axis" if row.lesion.region.is_node else "Long axis"
        assert _component(one, size)["valueQuantity"]["value"] == row.lesion.size_mm
        categories = [
            part["valueCodeableConcept"]["text"] for part in one["component"] if "valueCodeableConcept" in part
        ]
        assert row.psma_rads in categories
    overall = {one["code"]["coding"][0]["code"]: one for one in observations[len(draft_report.exam.lesions) :]}
    assert overall["MITNM"]["valueCodeableConcept"]["text"] == draft_report.assessment.mitnm_string
    assert overall["PSMA-TV"]["valueQuantity"]["value"] == draft_report.exam.psma_vol_ml


def test_sites_carry_standard_codes_only_where_there_are_some(draft_report):
    _, _, observations = _resources(draft_report)
    codes = [{coding["code"]: coding["system"] for coding in one["bodySite"]["coding"]} for one in observations[:5]]
    assert codes[0]["65349008"] == "http://snomed.info/sct"
    assert "7771000" in codes[0]
    assert "24028007" in codes[1]
    assert all("snomed" not in system for system in codes[2].values())
    assert "PROSTATE_BED" in codes[2]


@pytest.mark.parametrize(
    ("state", "signed", "status"),
    [
        ("draft", False, "preliminary"),
        ("reviewed", False, "preliminary"),
        ("signed", False, "preliminary"),
        ("signed", True, "final"),
        ("amended", True, "amended"),
    ],
)
def test_nothing_is_final_without_a_signature(draft_report, sign, state, signed, status):
    report = replace(draft_report, draft=draft_report.draft.model_copy(update={"state": state}))
    _, main, observations = _resources(sign(report, state) if signed else report)
    assert {one["status"] for one in (main, *observations)} == {status}
    assert main["conclusion"].startswith("[DRAFT]") != signed
    assert "not for clinical use" in main["text"]["div"]
    assert all("not for clinical use" in one["note"][0]["text"] for one in observations)


def test_every_reference_resolves_and_the_text_is_attached(draft_report):
    bundle, main, observations = _resources(draft_report)
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls) == 1 + len(observations)
    assert [one["reference"] for one in main["result"]] == urls[1:]
    assert all(url == f"urn:uuid:{entry['resource']['id']}" for url, entry in zip(urls, bundle["entry"], strict=True))
    (attached,) = main["presentedForm"]
    assert base64.b64decode(attached["data"]).decode("utf-8") == as_text(draft_report)


def test_codes_outside_a_required_binding_are_refused(draft_report):
    main = bundle_of(draft_report).entry[0].resource.model_dump(mode="json", exclude_none=True)
    assert DiagnosticReport.model_validate(main)
    for field, value in (("status", "bogus"), ("language", "e n "), ("text", {"status": "made up", "div": "x"})):
        with pytest.raises(ValidationError):
            DiagnosticReport.model_validate({**main, field: value})
    with pytest.raises(ValidationError):
        Bundle.model_validate({"type": "heap", "timestamp": "2026-01-01T00:00:00Z", "entry": []})


def test_no_name_of_the_headers_gets_out(draft_report):
    for name in ("text", "markdown", "csv", "fhir"):
        shown = export(draft_report, name).content.decode("utf-8")
        assert "Muster" not in shown
        assert "MRN-4711" not in shown
