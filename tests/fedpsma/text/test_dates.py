"""Dates as reports write them, and the header of a prior report."""

import pytest

from fedpsma.text.dates import find_dates
from fedpsma.text.prior_header import read_header


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("3.12.24", ["2024-12-03"]),
        ("03.12.2024", ["2024-12-03"]),
        ("2024-12-03", ["2024-12-03"]),
        ("3 December 2024", ["2024-12-03"]),
        ("December 3rd, 2024", ["2024-12-03"]),
        ("3. Dezember 2024", ["2024-12-03"]),
        ("12. März 2024", ["2024-03-12"]),
        ("25/12/2024", ["2024-12-25"]),
        ("SUV 14.7, 3.8 mL, 1.2 x 0.8 cm", []),
        ("30.02.2024", []),
    ],
)
def test_dates(text, days):
    assert [found.day.isoformat() for found in find_dates(text)] == days


def test_a_date_with_two_readings_has_no_day():
    (found,) = find_dates("03/04/2024")
    assert found.day is None
    assert len(found.days) == 2


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("PSMA PET/CT of 12.03.2024. Comparison: CT of 01.02.2023.", "2024-03-12"),
        ("Patient born 12.03.1955. PSMA PET dated 3 March 2024.", "2024-03-03"),
        ("PET/CT of 12.03.2024 and PET/CT of 13.03.2024.", None),
        ("PSA rising since 01.01.2020.", None),
    ],
)
def test_the_date_of_the_examination_is_told_from_others(text, date):
    assert read_header(text).date == date


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("miT0 N1a M1b (oligo)", ["miT0 N1a M1b (oligo)"]),
        ("pT3a pN0 cM0", ["pT3a pN0 cM0"]),
        ("Stage M1a.", ["M1a"]),
        ("T4 and L3 vertebrae", []),
    ],
)
def test_stated_stages(text, stages):
    assert [one.quote for one in read_header(text).stages] == stages
