"""The course of a training: one JSON line an entry for people, and an events file for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tensorboardX import SummaryWriter

from fedpsma.errors import InputError
from fedpsma.io.files import write_text

LOG_FILE = "log.jsonl"


class TrainLog:
    """Appends entries to ``log.jsonl`` and to TensorBoard events in a folder.

    Opened at a step, it drops what an interrupted run wrote of later steps, which will be taken again.
    """

    def __init__(self, folder: Path, step: int) -> None:
        path = folder / LOG_FILE
        write_text(path, "".join(line + "\n" for line in _lines_until(path, step)))
        self._stream = path.open("a", encoding="utf-8")
        self._events = SummaryWriter(str(folder), purge_step=step + 1)

    def __enter__(self) -> TrainLog:
        """Return the log itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left and close both files."""
        self._stream.close()
        self._events.close()

    def write(self, group: str, step: int, values: Mapping[str, float | None]) -> None:
        """Add an entry, such as the group "train" with loss and learning rate; what is not known is left out."""
        known = {name: value for name, value in values.items() if value is not None}
        self._stream.write(json.dumps({"step": step, group: known}) + "\n")
        self._stream.flush()
        for name, value in known.items():
            self._events.add_scalar(f"{group}/{name}", value, step)


def _lines_until(path: Path, step: int) -> list[str]:
    if not path.is_file():
        return []
    # a line that was cut off in writing has no end
    whole = path.read_text("utf-8").split("\n")[:-1]
    try:
        return [line for line in whole if json.loads(line)["step"] <= step]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError("is not the log of a training", where=str(path), remedy="move it away") from error
