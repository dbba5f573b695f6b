"""One small reading for all formats, with its DICOM series, made once a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from small_reading import small_report

from reporting.exporters.report import Report, SignOff, content_sha256


@pytest.fixture(scope="module")
def draft_report(tmp_path_factory) -> Report:
    """A report with images and DICOM that nobody signed."""
    return small_report(tmp_path_factory.mktemp("export") / "dicom")


@pytest.fixture(scope="session")
def sign() -> Callable[..., Report]:
    """Sign a report in the name of somebody."""

    def signed(report: Report, state: str = "signed", who: str = "Dr. A. Reader") -> Report:
        draft = report.draft.model_copy(update={"state": state})
        when = datetime(2026, 1, 6, 10, 30, tzinfo=UTC)
        return replace(
            report, draft=draft, sign_off=SignOff(who=who, when=when, sha256=content_sha256(report.exam, draft))
        )

    return signed
