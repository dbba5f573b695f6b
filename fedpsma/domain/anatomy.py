"""The classes of the dense anatomical map: where in the body a voxel lies, without its side."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict

from fedpsma.domain.region import Region


class AnatomyClass(BaseModel):
    """One row of ``data/anatomy.json``; ``region`` is the staging label of a focus found there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    name: str
    region: Region | None


@cache
def anatomy_classes() -> tuple[AnatomyClass, ...]:
    """Return all classes in the order of their numbers.

    Example:
        >>> anatomy_classes()[0].name
        'outside'
    """
    rows = json.loads(resources.files(__package__).joinpath("data/anatomy.json").read_text("utf-8"))["classes"]
    classes = tuple(AnatomyClass.model_validate(row) for row in rows)
    if [one.number for one in classes] != list(range(len(classes))):
        raise ValueError("data/anatomy.json: the numbers have to run from 0 without a gap")
    return classes


def anatomy_number(name: str) -> int:
    """Return the class number of a name; raises ``KeyError`` for a name that does not exist.

    Example:
        >>> anatomy_number("liver") == anatomy_classes()[anatomy_number("liver")].number
        True
    """
    for one in anatomy_classes():
        if one.name == name:
            return one.number
    raise KeyError(name)
