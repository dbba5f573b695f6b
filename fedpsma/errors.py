"""The errors a user meets: what is wrong, where, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class InputError(Exception):
    """The input is wrong; the command ends with exit code 2 and this one line.

    Args:
        what: What is wrong, without a full stop.
        where: The file, field or option that holds it.
        remedy: What the user can do, as an imperative; empty where nothing more can be said.

    Example:
        >>> print(InputError("has no Units tag (0054,1001)", where="series 7", remedy="export the PET again"))
        series 7: has no Units tag (0054,1001); export the PET again
    """

    def __init__(self, what: str, *, where: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        """Render the one line that the command line prints."""
        line = f"{self.where}: {self.what}"
        return f"{line}; {self.remedy}" if self.remedy else line


def first_problem(error: ValidationError, whole: str = "the whole") -> tuple[str, str]:
    """Return the first field that a model refused, or the name of the whole, and what is wrong with it."""
    problem = error.errors()[0]
    return ".".join(str(part) for part in problem["loc"]) or whole, problem["msg"].removeprefix("Value error, ")
