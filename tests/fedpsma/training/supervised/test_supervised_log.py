"""The log: readable lines, and events as TensorBoard reads them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event

from fedpsma.training.supervised.log import TrainLog


def events(folder: Path) -> list[tuple[str, int, float]]:
    """Read the records: length (8 bytes), its checksum (4), content, its checksum (4)."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack("<Q", content[at : at + 8])
            event = Event.FromString(content[at + 12 : at + 12 + length])
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            at += length + 16
    return found


def test_entries_stand_in_both_files_and_unknown_figures_in_none(tmp_path: Path) -> None:
    with TrainLog(tmp_path, 0) as log:
        log.write("train", 10, {"loss": 0.5})
        log.write("validation", 10, {"selection": 0.25, "pooled_dice": None})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [{"step": 10, "train": {"loss": 0.5}}, {"step": 10, "validation": {"selection": 0.25}}]
    assert events(tmp_path) == [("train/loss", 10, 0.5), ("validation/selection", 10, 0.25)]


def test_what_came_after_the_step_to_go_on_from_is_dropped(tmp_path: Path) -> None:
    with TrainLog(tmp_path, 0) as log:
        for step in (10, 20, 30):
            log.write("train", step, {"loss": 1.0})
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write('{"step": 40, "tr')
    with TrainLog(tmp_path, 20) as log:
        log.write("train", 30, {"loss": 2.0})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["step"], line["train"]["loss"]) for line in lines] == [(10, 1.0), (20, 1.0), (30, 2.0)]
