"""Bodies whose organs come from label maps of real people; everything the map does not name is parametric.

A map is a NIfTI volume of organ labels (any orientation, any grid). ``labels.json`` beside the maps names the labels::

    {"1": "spleen", "2": "kidneys", "3": "liver", "4": "bladder", "5": "lungs", "17": null}

Several labels may name one organ, such as lobes of the lung; ``null`` leaves a label out on purpose. The parametric
body is first stretched to the map, then the organs of the map are stamped over it; what it hides of bones and other
structures is pushed to the organ's surface.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedpsma.errors import InputError
from fedpsma.io.files import read_json, require_file
from fedpsma.io.nifti import Volume, read_volume
from fedpsma.phantom.anatomy import Anatomy, build_anatomy
from fedpsma.phantom.body import BodyParameters
from fedpsma.phantom.grid import Grid
from fedpsma.phantom.mapfit import OrganMap, fit_parameters, map_organs, organ_number
from fedpsma.phantom.stamping import sample_inside, stamp

LABELS_FILE = "labels.json"
_SUFFIXES = (".nii", ".nii.gz")
_FORM = 'name the labels in it, such as {"1": "spleen", "2": "kidneys", "3": "liver", "4": "bladder", "5": "lungs"}'


@dataclass(frozen=True)
class LabelMap:
    """Bodies from organ label maps: patient ``index`` takes map ``index`` modulo their number."""

    maps: tuple[Path, ...]
    organs: Mapping[int, str | None]

    @classmethod
    def read(cls, path: Path, labels: Path | None = None) -> LabelMap:
        """Find the maps in a folder (sorted by name), or take one file; ``labels`` names them if not beside them.

        Raises:
            InputError: There is no map, the labels are not named, or a name is not an organ the phantom knows.
        """
        folder = path if path.is_dir() else path.parent
        if path.is_dir():
            maps = tuple(sorted(one for one in path.rglob("*") if one.name.endswith(_SUFFIXES)))
        else:
            require_file(path)
            maps = (path,)
        if not maps:
            raise InputError("holds no organ map", where=str(path), remedy="name a folder with .nii or .nii.gz files")
        return cls(maps, _read_names(labels or folder / LABELS_FILE))

    @property
    def told(self) -> str | None:
        """A digest of maps and labels, so that data sets of other maps have another name."""
        content = hashlib.sha256(repr(sorted(self.organs.items())).encode())
        for one in self.maps:
            content.update(one.read_bytes())
        return f"anatomy of label maps {content.hexdigest()[:8]}"

    def provide(self, index: int, parameters: BodyParameters, spacing_mm: float) -> Anatomy:
        """Return the body with the organs of map ``index``; scale, field of view and organ places follow the map.

        Raises:
            InputError: The map cannot be read, has a label without a name, or lacks an organ that the fit needs.
        """
        path = self.maps[index % len(self.maps)]
        organ_map = self._organ_map(path)
        fitted = fit_parameters(organ_map, parameters)
        anatomy = build_anatomy(fitted, spacing_mm)
        return stamp(anatomy, sample_inside(organ_map, anatomy.grid))

    def _organ_map(self, path: Path) -> OrganMap:
        """Read a map and put its origin where the parametric body has it."""
        labels, grid = _read_labels(path)
        present = {int(label) for label in np.unique(labels)} - {0}
        unknown = sorted(present - set(self.organs))
        if unknown:
            text = ", ".join(map(str, unknown))
            raise InputError(
                f"has labels that nobody named: {text}", where=str(path), remedy=f"in {LABELS_FILE}, {_FORM}"
            )
        number_of = np.zeros(max(present, default=0) + 1, dtype=np.uint8)
        for label in present:
            name = self.organs[label]
            number_of[label] = 0 if name is None else organ_number(name)
        organ_map = OrganMap(number_of[labels], grid)
        organ_map.require(where=str(path))
        return organ_map.centred()


def _read_names(path: Path) -> dict[int, str | None]:
    if not path.is_file():
        raise InputError("is missing, so nobody knows what the labels mean", where=str(path), remedy=_FORM)
    content = read_json(path)
    known = set(map_organs())
    if not isinstance(content, dict) or not content:
        raise InputError("is not a table of labels", where=str(path), remedy=_FORM)
    names: dict[int, str | None] = {}
    for label, name in content.items():
        if not label.isdecimal() or int(label) == 0:
            raise InputError(f"{label!r} is not a label", where=str(path), remedy="number the labels from 1")
        if name is not None and (not isinstance(name, str) or name not in known):
            remedy = f"use {', '.join(sorted(known))}, or null for what is not wanted"
            raise InputError(f"{name!r} is not an organ that can be taken from a map", where=str(path), remedy=remedy)
        names[int(label)] = name
    return names


def _read_labels(path: Path) -> tuple[NDArray[np.int32], Grid]:
    volume = read_volume(path)
    labels = volume.data.astype(np.int32)
    if (labels != volume.data).any() or labels.min() < 0:
        raise InputError("holds something else than labels 0, 1, 2, ...", where=str(path), remedy="give a label map")
    return labels, _grid_of(volume, path)


def _grid_of(volume: Volume, path: Path) -> Grid:
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    if not np.allclose(volume.affine[:3, :3], np.diag(spacing), atol=1e-3 * float(spacing.max())):
        raise InputError("lies on an oblique grid", where=str(path), remedy="resample it to the axes of the body")
    x, y, z = (float(one) for one in volume.affine[:3, 3])
    a, b, c = (float(one) for one in spacing)
    return Grid(volume.data.shape, (a, b, c), (x, y, z))
