"""The open policies of the rules as an option of commands: ``--set NAME=VALUE``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedpsma.staging import StagingOptions

SetPolicies = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set an open policy, such as count_sides=yes; may be repeated."),
]


def read_policies(settings: Sequence[str] | None) -> StagingOptions:
    """Read the policies that a reader sets.

    Raises:
        InputError: A policy does not exist, or its value is not possible.

    Example:
        >>> read_policies(["count_sides=yes", "change_percent=25"]).change_percent
        25.0
    """
    from pydantic import TypeAdapter, ValidationError

    from fedpsma.errors import InputError, first_problem
    from fedpsma.staging import StagingOptions
    from fedpsma.staging.options import TITLES

    values = {}
    for setting in settings or []:
        name, equals, value = (part.strip() for part in setting.partition("="))
        if name not in TITLES or not equals:
            known = ", ".join(TITLES)
            raise InputError(f"{setting!r} sets no policy", where="--set", remedy=f"NAME=VALUE; the names are {known}")
        values[name] = value
    try:
        return TypeAdapter(StagingOptions).validate_python(values)
    except ValidationError as error:
        field, what = first_problem(error)
        name = field.split(".")[0]
        wrong = f"{name}={values[name]}"
        raise InputError(f"{wrong} is not possible: {what}", where="--set", remedy=TITLES[name]) from None
