"""The 26 real sarcomas as three sites, one a scanner grid, as tables for ``fedpsma import nifti``."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

KINDS = ("pet_suv", "ct_on_pet", "gtv_mask")
HEADER = "id,patient,pet,ct,mask,tracer"


def published_values(shared: Path) -> dict[str, dict[str, str]]:
    """Return the published row of each patient."""
    with (shared / "data/ibsi_validation_sts/summary.csv").open(encoding="utf-8") as stream:
        return {row["patient"]: row for row in csv.DictReader(stream)}


def write_site_tables(shared: Path, folder: Path) -> dict[str, Path]:
    """Write ``site1.csv`` and so on into ``folder``, and return them by the published voxel spacing."""
    published = published_values(shared)
    sites: dict[str, list[str]] = defaultdict(list)
    for pet in sorted((shared / "data/ibsi_validation_sts/nifti").glob("*_pet_suv.nii.gz")):
        patient = pet.name.removesuffix("_pet_suv.nii.gz")
        files = [str(pet.with_name(pet.name.replace("pet_suv", kind))) for kind in KINDS]
        sites[published[patient]["spacing"]].append(",".join([patient, patient, *files, "18F-FDG"]))
    tables = {}
    for number, (spacing, lines) in enumerate(sorted(sites.items()), start=1):
        tables[spacing] = folder / f"site{number}.csv"
        tables[spacing].write_text("\n".join([HEADER, *lines]) + "\n", "utf-8")
    return tables
