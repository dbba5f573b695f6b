"""From a TOML file and the options of the command to one description of a run."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from fedpsma.errors import InputError, first_problem
from fedpsma.io.files import read_text
from server.simulation.config import SHORT, SimulationConfig

Table = dict[str, Any]
Config = TypeVar("Config", bound=BaseModel)
_NONE = "none"


def read_config(file: Path | None, options: Mapping[str, Any], settings: Sequence[str]) -> SimulationConfig:
    """Return what to simulate: see :func:`read_settings`."""
    table = _table(SimulationConfig, file, options, settings)
    _one_site_is_enough_for_itself(table)
    return _checked(SimulationConfig, table)


def read_settings(kind: type[Config], file: Path | None, options: Mapping[str, Any], settings: Sequence[str]) -> Config:
    """Return a description of a run: the file's settings, over them the options, over them single settings.

    Args:
        kind: What is described.
        file: TOML in its shape; its paths count from its own folder. "none" stands for what TOML has no word for.
        options: Values by dotted name; ``None`` is left out.
        settings: ``name=value`` with a dotted name, or with its last part where only one setting ends so.

    Raises:
        InputError: A setting is unknown or wrong; it is named.
    """
    return _checked(kind, _table(kind, file, options, settings))


def _table(kind: type[BaseModel], file: Path | None, options: Mapping[str, Any], settings: Sequence[str]) -> Table:
    table = _from_file(file) if file else {}
    for name, value in options.items():
        if value is not None:
            _put(table, name, _value(value) if isinstance(value, str) else value)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise InputError("has no value", where=f"--set {setting}", remedy="write name=value")
        _put(table, _full_name(kind, name.strip()), _value(text.strip()))
    return table


def setting_names(kind: type[BaseModel] = SimulationConfig) -> tuple[str, ...]:
    """Return every setting by its dotted name.

    Example:
        >>> [name for name in setting_names() if "rounds" in name]
        ['plan.rounds']
    """
    return tuple(dict.fromkeys(_names(kind, "")))


def _names(model: type[BaseModel], front: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = list(_models(field.annotation))
        for one in inner:
            yield from _names(one, f"{front}{name}.")
        if not inner:
            yield f"{front}{name}"


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _from_file(file: Path) -> Table:
    try:
        table = tomllib.loads(read_text(file))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not TOML ({error})", where=str(file), remedy="correct the file there") from error
    here = file.parent
    for name in ("out", "init"):
        if isinstance(table.get(name), str) and table[name] != _NONE:
            table[name] = here / table[name]
    if isinstance(table.get("datasets"), list):
        table["datasets"] = [here / str(path) for path in table["datasets"]]
    return {name: _without_none(value) for name, value in table.items()}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(one) for name, one in value.items()}
    return None if value == _NONE else value


def _put(table: Table, name: str, value: Any) -> None:
    *outer, last = name.split(".")
    for part in outer:
        inner = table.get(part)
        table[part] = (
            dict(inner) if isinstance(inner, dict) else {SHORT[part]: inner} if inner and part in SHORT else {}
        )
        table = table[part]
    # Another strategy has other settings, so those of the one before it go.
    is_same = isinstance(table.get(last), dict) and last in SHORT and table[last].get(SHORT[last]) == value
    if not is_same:
        table[last] = value


def _full_name(kind: type[BaseModel], name: str) -> str:
    known = [*setting_names(kind), *(name for name in SHORT if name in kind.model_fields)]
    if name in known:
        return name
    ending = [one for one in known if one.split(".")[-1] == name]
    if len(ending) == 1:
        return ending[0]
    near = ending or get_close_matches(name, known, n=3, cutoff=0.5)
    remedy = f"did you mean {' or '.join(near)}?" if near else "see docs/simulate.md for all settings"
    raise InputError("is no setting" if not ending else "stands for several", where=f"--set {name}", remedy=remedy)


def _value(text: str) -> Any:
    if text.lower() == _NONE:
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _one_site_is_enough_for_itself(table: Table) -> None:
    datasets, plan = table.get("datasets") or (), table.get("plan") or {}
    if len(datasets) == 1 and not table.get("partition") and isinstance(plan, dict):
        table["plan"] = {"min_sites": 1, **plan}


def _checked(kind: type[Config], table: Table) -> Config:
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        name, what = first_problem(error, "settings")
        raise InputError(what, where=name, remedy="correct the setting") from error
