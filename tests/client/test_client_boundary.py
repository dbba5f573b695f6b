"""The ClientApp as Flower calls it: one message in, one message out, and never the text of an exception."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from packed_record import arrays_in, packed_record

from client.flower import build_app
from client.site import Site, answer_envelope
from fedpsma.contract import RoundOrder, SiteRefusal, SiteReport, TrainingPlan
from server.flower import take_identity

SECRET = "/data/DOE^JOHN_19470211/pet.nii.gz"
CONTEXT = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={})
ORDER = RoundOrder(run="r", round=1, plan=TrainingPlan()).model_dump_json()


def _raise(error: BaseException) -> Callable[..., Any]:
    def work(*_: object) -> Any:
        raise error

    return work


def _send(app: Any, kind: str, order: str = ORDER) -> Message:
    take_identity()
    arrays = packed_record({"a": np.zeros(2, np.float32)})
    content = RecordDict({"order": ConfigRecord({"json": order}), "weights": arrays})
    return app(Message(content, 1, kind), CONTEXT)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file", SECRET),
        RuntimeError(SECRET),
        KeyError(SECRET),
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
        MemoryError(SECRET),
        AssertionError(SECRET),
        RecursionError(SECRET),
    ],
)
@pytest.mark.parametrize("kind", ["train", "query.identify", "query.share"])
def test_no_text_of_an_exception_leaves(error: Exception, kind: str) -> None:
    reply = _send(build_app(_raise(error)), kind)
    assert reply.has_content()
    assert not reply.has_error()
    refusal = SiteRefusal.model_validate_json(str(reply.content["refusal"]["json"]))
    assert refusal.reason == "internal_error"
    assert set(reply.content) == {"refusal"}
    assert "DOE" not in repr(reply)


@pytest.mark.parametrize("extra", [{"plan": {"rounds": 3, "send_me_the_scans": True}}, {"run": None}, {"shell": "ls"}])
def test_a_plan_that_is_not_one_is_not_allowed(extra: dict[str, object], tmp_path: Path) -> None:
    app = build_app(lambda asked, *_: answer_envelope(Site("A", tmp_path, tmp_path), asked))
    reply = _send(app, "train", json.dumps(json.loads(ORDER) | extra))
    assert SiteRefusal.model_validate_json(str(reply.content["refusal"]["json"])).reason == "plan_not_allowed"


def test_report_and_weights_arrive_as_they_were_sent() -> None:
    report = SiteReport(site="A", round=1, epsilon=1.5, delta=0.01, noise_multiplier=1.0, steps=8, seconds=0.1)
    weights = {"a": np.array([1.5, -2], np.float32)}
    app = build_app(lambda asked, *_: asked.reply("report", {"json": report.model_dump_json()}, weights))
    reply = _send(app, "train")
    assert SiteReport.model_validate_json(str(reply.content["report"]["json"])) == report
    np.testing.assert_array_equal(arrays_in(reply)["a"], weights["a"])


def test_the_process_that_answers_flower_starts_without_what_trains() -> None:
    heavy = ("torch", "monai", "opacus", "scipy", "pandas", "nibabel", "matplotlib", "sklearn")
    code = f"import sys, client.app, client.wire; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
