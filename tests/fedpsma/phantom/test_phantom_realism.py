"""The measures against planted truth and theory, the checks against planted cohorts, the whole on a tiny cohort."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from scipy import ndimage, special, stats

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.phantom.realism import RealismOptions, measure_realism, realism_table, summary
from fedpsma.phantom.realism.checks import (
    acf_target,
    classifier_checks,
    geometry_checks,
    ks_from_quantiles,
    lesion_volume_check,
    liver_noise_checks,
    organ_suv_checks,
    recovery_checks,
)
from fedpsma.phantom.realism.classifier import separability
from fedpsma.phantom.realism.figures import PatientFigures, plan_cohort
from fedpsma.phantom.realism.measures import (
    LiverNoise,
    OrganFigures,
    geometry,
    liver_noise,
    midline_index,
    organ_figures,
    sphere_noise,
)
from fedpsma.phantom.realism.reference import GEOMETRY_FILE, STATISTICS, SUV_FILE, Reference, read_reference
from fedpsma.phantom.realism.targets import OrganMask, targets
from fedpsma.phantom.sites import site_profile
from fedpsma.phantom.tables import tissue_number

PSMA_11 = Tracer("68Ga-PSMA-11")


def organ_mask(tissue, side=None, part="whole"):
    return OrganMask(name=tissue, tissues=(tissue,), side=side, part=part, note="")


def boxed(*parts):
    """Label volumes 20 x 20 x 20 with boxes of tissue."""
    labels = np.zeros((20, 20, 20), dtype=np.uint8)
    for tissue, box in parts:
        labels[box] = tissue_number(tissue)
    return labels


class TestOrganFigures:
    labels = boxed(("kidney", np.s_[2:6, 5:9, 5:9]), ("kidney", np.s_[12:16, 5:9, 5:9]))
    nothing = np.zeros((20, 20, 20), dtype=bool)

    def test_values_at_or_below_three_count_as_zero(self):
        pet = np.full(self.labels.shape, 2.9, dtype=np.float32)
        pet[2:6, 5:9, 5:7] = 8.0
        pet[12:16, 5:9, 5:9] = 100.0
        found = organ_figures(organ_mask("kidney", side="left"), self.labels, pet, self.nothing, 10)
        assert found.mean == pytest.approx((8.0 + 2.9) / 2)
        assert found.mean_gt3 == pytest.approx(8.0)
        assert found.mean_trunc3 == pytest.approx(4.0)
        assert found.median_trunc3 == pytest.approx(4.0)
        assert found.p90_trunc3 == pytest.approx(8.0)
        assert found.robust_cv is None

    def test_sides_do_not_mix(self):
        pet = np.zeros(self.labels.shape, dtype=np.float32)
        pet[10:] = 7.0
        sides = {
            s: organ_figures(organ_mask("kidney", side=s), self.labels, pet, self.nothing, 10)
            for s in ("left", "right")
        }
        assert (sides["left"].mean, sides["right"].mean) == (0.0, 7.0)

    def test_the_midline_is_that_of_the_spine_beside_the_kidneys(self):
        labels = self.labels.copy()
        labels[7:10, 12:16, 5:9] = tissue_number("lumbar_spine")
        labels[14:17, 12:16, 12:20] = tissue_number("thoracic_spine")
        assert midline_index(labels) == 8
        assert midline_index(np.zeros_like(labels)) == 10

    def test_lesions_leave_the_mean_and_stay_in_the_truncated_values(self):
        pet = np.full(self.labels.shape, 4.0, dtype=np.float32)
        lesion = np.zeros(self.labels.shape, dtype=bool)
        lesion[2:6, 5:9, 5:7] = True
        pet[lesion] = 50.0
        found = organ_figures(organ_mask("kidney", side="left"), self.labels, pet, lesion, 10)
        assert found.mean == pytest.approx(4.0)
        assert found.mean_trunc3 == pytest.approx(27.0)

    def test_a_core_is_free_of_its_edge_and_a_cut_organ_has_no_mean(self):
        labels = boxed(("liver", np.s_[5:10, 5:10, 5:10]), ("brain", np.s_[5:10, 5:10, 15:20]))
        pet = np.zeros(labels.shape, dtype=np.float32)
        pet[6:9, 6:9, 6:9] = 5.0
        assert organ_figures(organ_mask("liver", part="core"), labels, pet, self.nothing, 10).mean == pytest.approx(5.0)
        cut = organ_figures(organ_mask("brain"), labels, pet, self.nothing, 10)
        assert cut.mean is None
        assert cut.mean_trunc3 == 0.0

    def test_what_is_absent_is_not_measured(self):
        pet = np.zeros(self.labels.shape, dtype=np.float32)
        assert organ_figures(organ_mask("spleen"), self.labels, pet, self.nothing, 10) is None


class TestNoise:
    def test_gaussian_texture_has_its_theoretical_autocorrelation(self):
        spacing, fwhm = (2.0, 2.0, 2.0), 8.0
        sigma = fwhm / 2.3548
        rng = np.random.default_rng(5)
        noise = ndimage.gaussian_filter(rng.standard_normal((120, 120, 60)), sigma / 2.0, mode="wrap")
        values = 5.0 + noise / noise.std() * 0.88
        found = sphere_noise(values, np.ones(values.shape, dtype=bool), spacing)
        assert found.cv == pytest.approx(0.176, abs=0.001)
        for lag, acf in found.acf:
            assert acf == pytest.approx(np.exp(-(lag**2) / (4 * sigma**2)), abs=0.02)

    def test_the_sphere_lies_deep_inside_the_liver(self):
        liver = np.zeros((40, 40, 40), dtype=bool)
        liver[2:38, 2:38, 2:38] = True
        pet = np.full(liver.shape, 100.0, dtype=np.float32)
        pet[13:27, 13:27, 13:27] = 5.0
        rng = np.random.default_rng(0)
        pet[13:27, 13:27, 13:27] += rng.normal(0, 0.5, (14, 14, 14)).astype(np.float32)
        assert liver_noise(liver, pet, (4.0, 4.0, 4.0), 25.0).cv == pytest.approx(0.1, abs=0.01)
        assert liver_noise(liver, pet, (1.0, 1.0, 1.0), 25.0) is None

    def test_targets_between_measured_lags_follow_a_gaussian(self):
        family = targets().noise.families[0]
        exact = family.model_copy(
            update={"acf": tuple((r, np.exp(-(r**2) / 46), np.exp(-(r**2) / 46)) for r in (3.4, 6.8))}
        )
        assert acf_target(exact, 5.0) == pytest.approx((np.exp(-25 / 46),) * 2, abs=1e-9)
        assert acf_target(family, 3.4) == pytest.approx((0.77, 0.80))
        assert acf_target(family, 10.3) is None


class TestGeometry:
    def test_centroids_count_from_lungs_and_bladder(self):
        labels = boxed(
            ("lung", np.s_[8:12, 8:12, 14:18]), ("bladder", np.s_[8:12, 8:12, 0:4]), ("liver", np.s_[13:17, 6:10, 8:12])
        )
        found = geometry({"lungs": ("lung",), "bladder": ("bladder",), "liver": ("liver",)}, labels, (4.0, 4.0, 5.0))
        assert found["liver_ml"] == pytest.approx(64 * 80 / 1000)
        assert (found["liver_dx"], found["liver_dy"], found["liver_dz"]) == pytest.approx((20.0, -8.0, 40.0))
        assert found["lungs_dz"] == pytest.approx(70.0)

    def test_the_distance_at_quantiles_is_close_to_kolmogorov_smirnov(self):
        rng = np.random.default_rng(2)
        levels = targets().geometry.levels
        for shift in (0.0, 0.3, 1.0):
            ours, real = rng.normal(0, 1, 200), rng.normal(shift, 1, 300)
            exact = stats.ks_2samp(ours, real).statistic
            found = ks_from_quantiles(ours, np.percentile(real, levels), levels)
            assert exact - 0.06 < found < exact + 0.01


class TestClassifier:
    rng = np.random.default_rng(7)
    sample = np.exp(rng.normal(1.0, 0.4, (120, 8)))

    def test_two_halves_of_one_cohort_cannot_be_told_apart(self):
        aucs = separability(self.sample[:60], self.sample[60:], repeats=1)
        assert set(aucs) == {"logistic", "logistic with squares", "random forest", "gradient boosting"}
        assert all(0.35 < auc < 0.65 for auc in aucs.values())

    def test_a_scaled_cohort_is_told_apart(self):
        aucs = separability(self.sample[:60], 3 * self.sample[60:], repeats=1)
        assert min(aucs.values()) > 0.97

    def test_a_difference_in_spread_needs_more_than_a_straight_line(self):
        narrow = np.exp(1.0 + 0.15 * (np.log(self.sample[60:]) - 1.0))
        aucs = separability(self.sample[:60], narrow, repeats=1)
        assert aucs["logistic"] < 0.7 < 0.95 < aucs["logistic with squares"]

    def test_missing_values_alone_tell_nothing(self):
        holes = self.sample[60:].copy()
        holes[:30, 0] = np.nan
        holes[:, 1] = np.nan
        assert max(separability(self.sample[:60], holes, repeats=1).values()) < 0.75

    def test_too_few_rows_are_an_error(self):
        with pytest.raises(ValueError, match="folds"):
            separability(self.sample[:4], self.sample, repeats=1)


def planted(tracer, site, suv, index):
    """A patient whose every organ shows one SUV."""
    organ = OrganFigures(suv, suv, suv, suv, suv, 0.2)
    noise = LiverNoise(0.176, ((3.4, 0.785), (6.8, 0.4)))
    shapes = {row.name: row.mean + row.sd * stats.norm.ppf((index % 50 + 0.5) / 50) for row in targets().geometry.rows}
    organs = {one.name: organ for one in targets().organs}
    volumes = (0.6, 1.3, 3.0) if index % 2 else (0.6, 0.6, 1.3, 3.0, 3.0)
    return PatientFigures(site, tracer, index % 2 == 0, organs, noise, volumes, shapes)


def log_normal(mean, sd, count):
    spread = np.sqrt(np.log1p((sd / mean) ** 2))
    scores = stats.norm.ppf((np.arange(count) + 0.5) / count)
    return mean * np.exp(spread * scores - spread**2 / 2)


class TestChecks:
    cohort = tuple(planted(PSMA_11, "A", suv, index) for index, suv in enumerate(log_normal(6.0, 2.0, 50)))

    def test_uptake_hits_where_mean_and_spread_fit(self):
        checks = {check.name: check for check in organ_suv_checks(self.cohort)}
        assert checks["68Ga-PSMA-11 lacrimal, mean"].hit is True
        assert checks["68Ga-PSMA-11 parotid, mean"].hit is False
        liver = checks["68Ga-PSMA-11 liver, mean"]
        assert [figure.label for figure in liver.figures] == ["mean", "SD"]
        assert liver.figures[0].low == pytest.approx(0.9 * 5.4)
        assert checks["18F-DCFPyL lacrimal, mean"].hit is None

    def test_the_right_mean_with_the_wrong_spread_misses(self):
        narrow = tuple(planted(PSMA_11, "A", suv, 0) for suv in log_normal(6.0, 0.5, 50))
        lacrimal = next(check for check in organ_suv_checks(narrow) if check.name == "68Ga-PSMA-11 lacrimal, mean")
        assert [figure.hit for figure in lacrimal.figures] == [True, False]

    def test_a_row_may_count_men_with_furosemide_only(self):
        check = next(one for one in organ_suv_checks(self.cohort) if one.name.endswith("with furosemide"))
        assert check.note.startswith("n 25")

    def test_noise_is_judged_by_family(self):
        checks = {check.name: check for check in liver_noise_checks(self.cohort)}
        assert checks["Siemens-like, sites A and C: CV"].hit is True
        assert checks["Siemens-like, site A: in-plane autocorrelation"].hit is True
        assert checks["GE-like, sites B and E: CV"].hit is None

    def test_lesion_volumes_of_fdg_patients_do_not_count(self):
        assert lesion_volume_check(self.cohort).hit is True
        large = tuple(replace(one, tracer=Tracer("18F-FDG"), lesion_volumes_ml=(90.0,) * 9) for one in self.cohort)
        assert lesion_volume_check(self.cohort + large).hit is True

    def test_anatomy_with_the_real_spread_hits_and_real_rows_give_the_exact_distance(self):
        name = "liver_dz"
        row = next(one for one in targets().geometry.rows if one.name == name)
        plain = next(check for check in geometry_checks(self.cohort, None) if check.name == name)
        assert plain.figures[0].value < 0.1
        far = Reference(geometry={name: np.full(40, row.mean + 10 * row.sd)})
        moved = next(check for check in geometry_checks(self.cohort, far) if check.name == name)
        assert moved.figures[0].value == 1.0
        assert moved.hit is False

    def test_without_real_rows_the_classifier_is_not_measured(self):
        checks = list(classifier_checks(self.cohort, None, seed=0))
        assert len(checks) == 6
        assert {check.hit for check in checks} == {None}
        assert "rows of real patients" in checks[0].note

    def test_the_classifier_sees_which_cohort_is_real(self):
        rng = np.random.default_rng(3)
        rows = np.repeat([[one.organs["liver"].mean] for one in self.cohort], 17, axis=1)
        real = {name: 4 * rows * rng.uniform(0.9, 1.1, rows.shape) for name in STATISTICS}
        check = next(iter(classifier_checks(self.cohort, Reference({"psma11_like": real}), seed=0)))
        assert check.hit is False
        assert max(figure.value for figure in check.figures) > 0.9


def test_recovery_of_large_and_small_spheres_follows_the_resolution():
    check = next(one for one in recovery_checks() if one.name == "site C, 18F-PSMA-1007")
    found = {figure.label: figure.value for figure in check.figures}
    sigma = site_profile("C").psf_mm / 2.3548
    for diameter in (22, 28, 37):
        x = diameter / 2 / sigma
        centre = special.erf(x / np.sqrt(2)) - np.sqrt(2 / np.pi) * x * np.exp(-(x**2) / 2)
        assert found[f"{diameter} mm"] == pytest.approx(centre, abs=0.04)
    assert [figure.label for figure in check.figures if figure.high is not None] == ["10 mm", "37 mm"]


def test_the_cohort_has_the_mix_of_the_real_scanners():
    members = plan_cohort(50, seed=1)
    assert len(members) == 250
    sites = [one.site for one in members if one.tracer == PSMA_11]
    assert {site: sites.count(site) for site in "ABC"} == {"A": 13, "B": 21, "C": 16}
    assert len({(one.site, one.index) for one in members}) == 250


class TestReference:
    def table(self, path, columns=("case", "group", "organ", *STATISTICS)):
        with gzip.open(path / SUV_FILE, "wt", newline="") as stream:
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            for case, organ, value in (
                ("a", "liver", 4.0),
                ("a", "spleen", ""),
                ("b", "liver", 5.0),
                ("b", "esophagus", 1),
            ):
                row = {"case": case, "group": "psma11_like", "organ": organ} | dict.fromkeys(STATISTICS, value)
                writer.writerow(row)

    def test_rows_become_vectors_with_holes(self, tmp_path):
        self.table(tmp_path)
        real = read_reference(tmp_path).suv["psma11_like"]["mean_trunc3"]
        place = list(targets().classifier.organs).index("liver")
        assert real.shape == (2, 17)
        assert real[:, place].tolist() == [4.0, 5.0]
        assert np.isnan(np.delete(real, place, axis=1)).all()

    def test_a_table_without_a_column_is_refused(self, tmp_path):
        self.table(tmp_path, columns=("case", "group", "organ", "median", "p90"))
        with pytest.raises(InputError, match="no column mean_trunc3"):
            read_reference(tmp_path)

    def test_a_folder_without_tables_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="neither"):
            read_reference(tmp_path)

    def test_what_is_no_number_is_refused(self, tmp_path):
        names = [row.name for row in targets().geometry.rows]
        (tmp_path / GEOMETRY_FILE).write_text(",".join(names) + "\n" + ",".join(["x"] * len(names)) + "\n")
        with pytest.raises(InputError, match="'x' is not a number"):
            read_reference(tmp_path)

    @pytest.mark.shared
    def test_the_real_rows_are_read_whole_and_look_like_themselves(self, shared):
        real = read_reference(shared / "data" / "autopet3_organ_suv")
        sizes = {group: len(rows["mean_trunc3"]) for group, rows in real.suv.items()}
        assert sizes == {"psma11_like": 270, "psma1007_like": 229, "fdg": 912}
        rows = real.suv["psma11_like"]["mean_trunc3"]
        assert max(separability(rows[::2], rows[1::2], repeats=1).values()) < 0.62
        for row in targets().geometry.rows:
            assert real.geometry[row.name].mean() == pytest.approx(row.mean, abs=0.06)


def test_options_that_measure_nothing_are_refused():
    with pytest.raises(InputError, match="1 patients"):
        RealismOptions(patients=1)


@pytest.mark.slow
def test_a_tiny_cohort_gives_the_whole_table():
    seen = []
    options = RealismOptions(patients=2, seed=4, workers=1)
    report = measure_realism(options, on_patient=lambda: seen.append(1))
    assert len(seen) == options.total_patients == 10
    assert report.synthetic
    sections = [check.section.split(" (")[0] for check in report.checks]
    assert list(dict.fromkeys(sections)) == [
        "organ SUV",
        "liver noise",
        "lesion volume",
        "recovery of the maximum",
        "anatomy",
        "classifier",
        "cost",
    ]
    cost = report.checks[-1]
    assert 0 < cost.figures[0].value < 60
    assert 50 < cost.figures[1].value < 1024
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(realism_table(report))
    text = console.export_text()
    assert "not measured" in text
    assert "synthetic" in text
    assert summary(report).count("hold") == 7
