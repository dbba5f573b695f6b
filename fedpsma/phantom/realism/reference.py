"""Rows of real patients for the checks that need them; they are no part of this package.

Two tables, either of which may be absent: ``organ_suv_stats.csv.gz`` (``case, group, organ, mean_trunc3, median, p90``,
one organ of one study a row) and ``organ_geometry_half.csv`` (one study a row, columns as in ``data/realism.json``).
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedpsma.errors import InputError
from fedpsma.phantom.realism.classifier import Vectors
from fedpsma.phantom.realism.targets import targets

SUV_FILE, GEOMETRY_FILE = "organ_suv_stats.csv.gz", "organ_geometry_half.csv"
STATISTICS = ("mean_trunc3", "median", "p90")


@dataclass(frozen=True)
class Reference:
    """Real rows: ``suv`` by group and statistic, arrays (studies, organs) with NaN; ``geometry`` by column."""

    suv: dict[str, dict[str, Vectors]] = field(default_factory=dict)
    geometry: dict[str, NDArray[np.float64]] = field(default_factory=dict)


def read_reference(path: Path) -> Reference:
    """Read the tables of real rows that lie in a folder, or one of them.

    Raises:
        InputError: Neither table is there, or one is not readable or lacks a column.
    """
    files = {name: path / name if path.is_dir() else path for name in (SUV_FILE, GEOMETRY_FILE)}
    suv, geometry = (files[name] for name in (SUV_FILE, GEOMETRY_FILE))
    has_suv = suv.name == SUV_FILE and suv.is_file()
    has_geometry = geometry.name == GEOMETRY_FILE and geometry.is_file()
    if not has_suv and not has_geometry:
        raise InputError(
            f"holds neither {SUV_FILE} nor {GEOMETRY_FILE}", where=str(path), remedy="name the folder with real rows"
        )
    return Reference(_suv_rows(suv) if has_suv else {}, _geometry_rows(geometry) if has_geometry else {})


def _read(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path), remedy="get the file again") from error
    reader = csv.DictReader(io.StringIO(text))
    missing = sorted(set(columns) - set(reader.fieldnames or ()))
    if missing:
        raise InputError(f"has no column {', '.join(missing)}", where=str(path), remedy="give the table of real rows")
    return list(reader)


def _suv_rows(path: Path) -> dict[str, dict[str, Vectors]]:
    organs = {name: number for number, name in enumerate(targets().classifier.organs)}
    groups: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(dict)
    for row in _read(path, ("case", "group", "organ", *STATISTICS)):
        if row["group"] not in targets().classifier.groups or row["organ"] not in organs:
            continue
        study = groups[row["group"]].setdefault(row["case"], {name: [np.nan] * len(organs) for name in STATISTICS})
        for name in STATISTICS:
            study[name][organs[row["organ"]]] = _number(row[name], path)
    return {
        group: {name: np.array([study[name] for study in studies.values()]) for name in STATISTICS}
        for group, studies in groups.items()
    }


def _geometry_rows(path: Path) -> dict[str, NDArray[np.float64]]:
    names = tuple(row.name for row in targets().geometry.rows)
    rows = _read(path, names)
    columns = {name: np.array([_number(row[name], path) for row in rows]) for name in names}
    return {name: values[~np.isnan(values)] for name, values in columns.items()}


def _number(text: str, path: Path) -> float:
    try:
        return float(text) if text else np.nan
    except ValueError:
        raise InputError(f"{text!r} is not a number", where=str(path), remedy="give the table of real rows") from None
