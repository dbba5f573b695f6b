from __future__ import annotations

import csv
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpsma.io.nifti import read_volume
from fedpsma.lesions.statistics import intensity_statistics

IBSI_TAGS = {
    "minimum": "stat_min",
    "p10": "stat_p10",
    "median": "stat_median",
    "p90": "stat_p90",
    "interquartile_range": "stat_iqr",
    "range": "stat_range",
    "variance": "stat_var",
    "skewness": "stat_skew",
    "kurtosis": "stat_kurt",
    "variation": "stat_cov",
    "quartile_dispersion": "stat_qcod",
    "mean_deviation": "stat_mad",
    "robust_mean_deviation": "stat_rmad",
    "median_deviation": "stat_medad",
    "energy": "stat_energy",
    "root_mean_square": "stat_rms",
}


@pytest.fixture(scope="module")
def digital_phantom(shared):
    """The voxels of the IBSI digital phantom, and the published values as they are printed (three digits)."""
    folder = shared / "data/ibsi_phantoms"
    image = read_volume(folder / "ibsi_1_digital_phantom_nifti_image_phantom.nii.gz").data
    mask = read_volume(folder / "ibsi_1_digital_phantom_nifti_mask_mask.nii.gz").data > 0
    with (folder / "ibsi_1_dig_phantom.csv").open() as stream:
        known = {row["tag"]: row["reference value"] for row in csv.DictReader(stream, delimiter=";")}
    return image[mask].astype(np.float64), known


def as_printed(value, published):
    """Round as the published table does: to the significant digits that it prints."""
    digits = len(published.lstrip("-0.").replace(".", ""))
    return float(f"{value:.{max(digits, 1)}g}")


@pytest.mark.shared
@pytest.mark.parametrize(("name", "tag"), IBSI_TAGS.items())
def test_ibsi_values_agree_to_every_published_digit(digital_phantom, name, tag):
    """The tolerance of the consensus is 0 for all of these: the value as printed has to be the same."""
    values, known = digital_phantom
    found = asdict(intensity_statistics(values))[name]
    assert as_printed(found, known[tag]) == float(known[tag])


def test_every_feature_is_compared_with_a_published_value():
    assert set(asdict(intensity_statistics(np.ones(3)))) == set(IBSI_TAGS)


def test_equal_voxels_have_no_shape():
    found = intensity_statistics(np.full(5, 3.0))
    assert (found.variance, found.skewness, found.kurtosis, found.variation) == (0.0, 0.0, 0.0, 0.0)
    assert intensity_statistics(np.zeros(2)).quartile_dispersion == 0.0


@given(st.lists(st.floats(0.1, 50.0), min_size=5, max_size=60), st.floats(0.5, 20.0))
def test_a_change_of_scale_changes_no_shape(values, factor):
    one = intensity_statistics(np.array(values))
    other = intensity_statistics(np.array(values) * factor)
    assert other.variance == pytest.approx(one.variance * factor**2, rel=1e-6, abs=1e-9)
    assert other.variation == pytest.approx(one.variation, rel=1e-6, abs=1e-9)
    assert one.minimum <= one.p10 <= one.median <= one.p90
