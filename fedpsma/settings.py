"""From a TOML file, the options of a command and single settings to one checked description of what to do."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from math import isnan
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from fedpsma.contract import LEAST_HIDDEN_SITES
from fedpsma.errors import InputError, first_problem
from fedpsma.io.files import read_text

Table = dict[str, Any]
Config = TypeVar("Config", bound=BaseModel)
SHORT = {"strategy": "name", "partition": "by", "attack": "kind"}
"""The field of each table that a plain word stands for."""
RECIPES = {path.stem: path for path in Path(__file__).with_name("recipes").glob("*.toml")}
"""The settings that come with the package, by name."""
_HIDDEN = "secure_aggregation"
_NONE = "none"


def read_settings(kind: type[Config], file: Path | None, options: Mapping[str, Any], settings: Sequence[str]) -> Config:
    """Return a description of a run: the file's settings, over them the options, over them single settings.

    Args:
        kind: What is described.
        file: TOML in its shape, or the name of a recipe that comes with the package; its paths count from its own
            folder. "none" stands for what TOML has no word for.
        options: Values by dotted name; ``None`` is left out.
        settings: ``name=value`` with a dotted name, or with its last part where only one setting ends so.

    Raises:
        InputError: A setting is unknown or wrong; it is named.
    """
    return checked(kind, settings_table(kind, file, options, settings))


def settings_table(
    kind: type[BaseModel], file: Path | None, options: Mapping[str, Any], settings: Sequence[str]
) -> Table:
    """Return the settings of :func:`read_settings` as nested tables that are not checked yet."""
    table = _from_file(file) if file else {}
    for name, value in options.items():
        if value is not None:
            _put(table, name, _value(value) if isinstance(value, str) else value)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise InputError("has no value", where=f"--set {setting}", remedy="write name=value")
        _put(table, _full_name(kind, name.strip()), _value(text.strip()))
    _hide_with_enough_sites(table)
    return table


def setting_names(kind: type[BaseModel]) -> tuple[str, ...]:
    """Return every setting by its dotted name.

    Example:
        >>> from fedpsma.contract import SecureAggregation
        >>> setting_names(SecureAggregation)
        ('update_norm', 'largest_change', 'most_patients')
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
    # os.path.exists says no to a name that is too long, where Path.exists fails.
    source = file if os.path.exists(file) else RECIPES.get(str(file))
    if source is None:
        remedy = f"give a TOML file, or one of: {', '.join(sorted(RECIPES))}"
        raise InputError("is neither a file nor a recipe", where=str(file), remedy=remedy)
    try:
        table = tomllib.loads(read_text(source))
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
    known += [f"plan.{_HIDDEN}"] if "plan" in kind.model_fields else []
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
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    # An attack is called "nan", and no setting takes what is not a number.
    return text if isinstance(value, float) and isnan(value) else value


def _hide_with_enough_sites(table: Table) -> None:
    """Let "true" stand for secure aggregation with its usual bounds, which needs more sites than the plan's default."""
    plan = table.get("plan")
    if not isinstance(plan, dict) or plan.get(_HIDDEN) is None:
        return
    wanted = plan[_HIDDEN]
    plan = {**plan, _HIDDEN: {True: {}, False: None}[wanted] if isinstance(wanted, bool) else wanted}
    table["plan"] = plan if plan[_HIDDEN] is None else {"min_sites": LEAST_HIDDEN_SITES, **plan}


def checked(kind: type[Config], table: Table) -> Config:
    """Return a description made of tables.

    Raises:
        InputError: A setting is unknown or wrong; it is named.
    """
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        name, what = first_problem(error, "settings")
        raise InputError(what, where=name, remedy="correct the setting") from error
