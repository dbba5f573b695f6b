"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass

NOT_UNDERSTOOD = "not_understood"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or that nobody could read.

    ``check`` is the name of the check that found it, ``said`` what the text says, ``table`` what the table or the rules
    say; ``line`` is the number of the line in the text, from 1, null where the problem is something that is missing.

    Example:
        >>> Problem("numbers", "SUVmax 21.4", "the SUVmax of L1 is 12.4").detail
        "'SUVmax 21.4': the SUVmax of L1 is 12.4"
    """

    check: str
    said: str
    table: str
    line: int | None = None

    @property
    def detail(self) -> str:
        """What is said and what the table says, in one phrase."""
        return f"{self.said!r}: {self.table}" if self.said else self.table
