"""The codes of exported reports, from ``data/export_codes.json``: standard ones where they are known, else private."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from fedpsma.domain.exam import Lesion
from fedpsma.domain.region import Region
from reporting.data_files import read_data

_SIDES = {"L": "left", "R": "right", "B": "both"}


@dataclass(frozen=True)
class Coded:
    """A coded concept; ``scheme`` is the designator that DICOM uses, ``version`` that of a private scheme."""

    value: str
    scheme: str
    meaning: str
    version: str | None = None

    @property
    def uri(self) -> str:
        """The code system as FHIR names it."""
        table = _table()
        own: dict[str, str] = table["scheme"]
        return own["uri"] if self.scheme == own["designator"] else str(table["uris"][self.scheme])


@cache
def standard(name: str) -> Coded:
    """Return a standard code by our name for it.

    Example:
        >>> standard("suvbw")
        Coded(value='126401', scheme='DCM', meaning='SUVbw', version=None)
    """
    row = _table()["standard"][name]
    return Coded(row["value"], row["scheme"], row["meaning"])


@cache
def private(name: str) -> Coded:
    """Return a code of our own scheme by its name.

    Example:
        >>> private("psma_rads").value, private("psma_rads").version
        ('PSMA-RADS', '2.0')
    """
    row = _table()["private"][name]
    return Coded(row["value"], _table()["scheme"]["designator"], row["meaning"], row["version"])


def private_value(name: str, value: str, meaning: str) -> Coded:
    """Return one value of a private code, such as category 3B of PSMA-RADS.

    Example:
        >>> private_value("psma_rads", "3B", "PSMA-RADS 3B").value
        'PSMA-RADS:3B'
    """
    of = private(name)
    return Coded(f"{of.value}:{value}", of.scheme, meaning, of.version)


def private_region(region: Region) -> Coded:
    """Return the staging region; unlike the standard site it exists for every region.

    Example:
        >>> private_region(Region.PROSTATE_BED).value
        'PROSTATE_BED'
    """
    of = private("region")
    return Coded(region.value, of.scheme, region.facts.name_en, of.version)


def standard_site(region: Region) -> Coded | None:
    """Return the anatomical site of a region in SNOMED CT; ``None`` where no code is confirmed.

    Example:
        >>> standard_site(Region.LIVER).meaning, standard_site(Region.PROSTATE_BED)
        ('Liver structure', None)
    """
    code = region.facts.snomed
    return None if code is None else Coded(code, "SCT", _table()["sites"][code])


def side_code(lesion: Lesion) -> Coded | None:
    """Return the laterality of a lesion; ``None`` for the midline and for a side that is not known.

    Example:
        >>> side_code(Lesion(lesion_id="L1", region="LIVER", side="R")).meaning
        'Right'
    """
    return standard(_SIDES[lesion.side]) if lesion.side in _SIDES else None


def size_code(lesion: Lesion) -> Coded:
    """Return what the size of a lesion is: the short axis of a node, else the long axis."""
    return standard("short_axis" if lesion.region.is_node else "long_axis")


def _table() -> dict[str, Any]:
    table: dict[str, Any] = read_data("export_codes.json")
    return table
