"""A site's pairs by patient: the folder that ``fedpsma report corpus --site`` makes, or that a site fills itself."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedpsma.errors import InputError, first_problem
from fedpsma.io.files import read_json, write_json, write_text
from reporting.llm.corpus import CARD_FILE, TRAIN_FILE, Example, read_corpus


class SiteCard(BaseModel):
    """What ``card.json`` says of the site; whatever else stands there is for readers."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    site: str = Field(min_length=1)
    synthetic: bool


@dataclass(frozen=True)
class SitePairs:
    """Pairs of codes and sentence templates by patient, as a federation trains on them."""

    folder: Path
    site: str
    synthetic: bool
    examples: tuple[Example, ...]

    @property
    def patients(self) -> tuple[str, ...]:
        """Pseudonyms of all patients, sorted."""
        return tuple(sorted({example.patient for example in self.examples}))

    def by_patient(self) -> dict[str, list[Example]]:
        """Return the pairs of every patient, in the order of :attr:`patients`."""
        found: dict[str, list[Example]] = {patient: [] for patient in self.patients}
        for example in self.examples:
            found[example.patient].append(example)
        return found


def read_pairs(folder: Path) -> SitePairs:
    """Read the pairs that a site trains on.

    Raises:
        InputError: The folder is no corpus of a site, or a pair names no patient.
    """
    path = folder / CARD_FILE
    try:
        card = SiteCard.model_validate(read_json(path))
    except ValidationError as error:
        remedy = "make it with: fedpsma report corpus --site NAME"
        raise InputError(": ".join(first_problem(error)), where=str(path), remedy=remedy) from error
    examples = tuple(read_corpus(folder, "train"))
    nameless = sum(not example.patient for example in examples)
    if nameless or not examples:
        what = f"{nameless} of {len(examples)} pairs name no patient" if examples else "holds no pair"
        remedy = 'give every line a "patient", or make it with: fedpsma report corpus --site NAME'
        raise InputError(what, where=str(folder / TRAIN_FILE), remedy=remedy)
    return SitePairs(folder, card.site, card.synthetic, examples)


def part_of(pairs: SitePairs, patients: Collection[str], site: str, folder: Path) -> SitePairs:
    """Write the pairs of some patients as those of a site."""
    return _written(pairs, [one for one in pairs.examples if one.patient in patients], site, folder)


def joined(parts: Sequence[SitePairs], name: str, folder: Path | None) -> SitePairs:
    """Join the pairs of sites; pseudonyms get the site's name in front where there are several.

    Without a ``folder`` nothing is written.
    """
    examples = [
        replace(one, patient=f"{part.site}/{one.patient}" if len(parts) > 1 else one.patient)
        for part in parts
        for one in part.examples
    ]
    whole = SitePairs(Path(), name, all(part.synthetic for part in parts), tuple(examples))
    return whole if folder is None else _written(whole, examples, name, folder)


def _written(pairs: SitePairs, examples: Sequence[Example], site: str, folder: Path) -> SitePairs:
    write_text(folder / TRAIN_FILE, "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in examples))
    write_json(folder / CARD_FILE, SiteCard(site=site, synthetic=pairs.synthetic).model_dump())
    return SitePairs(folder, site, pairs.synthetic, tuple(examples))
