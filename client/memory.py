"""Whether training failed for want of memory, of the machine's, of a GPU's, or of what the policy leaves to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

# What PyTorch says of main memory, in an error that has no class of its own.
_CPU_WORDS = "can't allocate memory"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or one that it was raised from, says that memory ran out.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(ValueError("can't allocate memory"))
        (True, False)
    """
    # Where the error is of PyTorch, somebody has loaded it.
    torch = sys.modules.get("torch")
    kinds = (MemoryError,) if torch is None else (MemoryError, torch.OutOfMemoryError)
    return any(
        isinstance(one, kinds) or (type(one) is RuntimeError and _CPU_WORDS in str(one)) for one in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
