"""Facts on file, so that a second check reads only the studies whose files changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from fedpsma.errors import InputError
from fedpsma.io.dataset import StudyRow
from fedpsma.io.files import file_state, read_text, write_text
from fedpsma.site_check.facts import StudyFacts, study_facts
from fedpsma.site_check.limits import limits

# To be raised whenever the facts of the same files would come out otherwise.
_FACTS_VERSION = 1


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    facts: StudyFacts


def facts_file(folder: Path, study_id: str) -> Path:
    """Return the file that keeps the facts of a study; any id makes a safe name.

    Example:
        >>> facts_file(Path("facts"), "a/b").name
        'a%2Fb.json'
    """
    return folder / f"{quote(study_id, safe='')}.json"


def kept_facts(dataset: Path, row: StudyRow, cache: Path) -> StudyFacts | None:
    """Return the facts on file; ``None`` where there are none, or a file of the study changed since."""
    try:
        kept = _Kept.model_validate_json(read_text(facts_file(cache, row.id)))
    except (InputError, ValidationError):
        return None
    return kept.facts if kept.key == _key(dataset, row) else None


def measure_and_keep(dataset: Path, row: StudyRow, cache: Path) -> StudyFacts:
    """Measure a study and write its facts; this is what a worker process runs."""
    key = _key(dataset, row)
    facts = study_facts(dataset, row)
    write_text(facts_file(cache, row.id), _Kept(key=key, facts=facts).model_dump_json())
    return facts


def forget_others(cache: Path, rows: Iterable[StudyRow]) -> None:
    """Delete the facts of studies that the data set no longer has; another file in the folder stays."""
    wanted = {facts_file(cache, row.id) for row in rows}
    for path in cache.glob("*.json"):
        if path not in wanted and _holds_facts(path):
            path.unlink()


def _holds_facts(path: Path) -> bool:
    try:
        _Kept.model_validate_json(read_text(path))
    except (InputError, ValidationError):
        return False
    return True


def _key(dataset: Path, row: StudyRow) -> str:
    """Name the state of a study's files by their names, sizes and times of change."""
    state: list[object] = [_FACTS_VERSION, limits().rules.low_suv.value, limits().rules.liver_hu.value]
    files = (row.pet, row.ct, row.mask, row.anatomy)
    state += [(name, None if name is None else file_state(dataset / name)) for name in files]
    return hashlib.sha256(repr(state).encode()).hexdigest()
