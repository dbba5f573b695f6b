"""Whatever goes wrong at a site, and whatever a malicious coordinator asks: codes, agreed shapes, nothing else."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import string
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from fake_coordinator import GENEROUS, WEIGHTS, Coordinator, joined_site, refusal_of, set_policy
from pydantic import BaseModel, ValidationError

from client.envelope import KEYS, Envelope
from client.ledger import LedgerError
from client.payment import ledger_of
from client.policy import SitePolicy, read_policy
from client.steward.home import SiteHome
from client.steward.release import NotReleasedError, require_releasable
from client.steward.steward import Steward
from fedpsma.contract import ORDER, RefusalReason, RoundOrder, SiteRefusal, SiteReport, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.training.interruption import TrainingStoppedError
from fedpsma.training.trainer import load_trainer

# What a path, a name, a birth date or an accession number of a patient looks like in the texts below.
_MARKS = ("DOE", "JOHN", "19470211", "ACC-0815", "/data", "1.2.840")
_PHI = "/data/DOE^JOHN_19470211/ACC-0815/1.2.840.113619.2.5/pet.nii.gz"


class _Strict(BaseModel):
    number: int


def _validation_error() -> ValidationError:
    try:
        _Strict.model_validate({"number": _PHI})
    except ValidationError as error:
        return error
    raise AssertionError


def _chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def _failures() -> list[Exception]:
    system = [
        OSError(number, os.strerror(number), _PHI)
        for number in (errno.ENOENT, errno.EACCES, errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EROFS, errno.ESTALE)
    ]
    kinds: tuple[type[Exception], ...] = (
        *(RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, LookupError),
        *(MemoryError, RecursionError, EOFError, BufferError, ArithmeticError, ZeroDivisionError, OverflowError),
        *(ImportError, NotImplementedError, StopIteration, NameError, UnicodeError, TimeoutError, ConnectionError),
        *(BrokenPipeError, FileExistsError, IsADirectoryError, NotADirectoryError, InterruptedError, ChildProcessError),
        *(FloatingPointError, PermissionError, LedgerError, TrainingStoppedError),
    )
    special = [
        InputError(f"cannot read {_PHI}", where=_PHI, remedy=_PHI),
        json.JSONDecodeError(_PHI, _PHI, 0),
        UnicodeDecodeError("utf-8", _PHI.encode(), 0, 1, _PHI),
        _validation_error(),
        np.linalg.LinAlgError(_PHI),
        ExceptionGroup(_PHI, [RuntimeError(_PHI)]),
        _chained(RuntimeError(_PHI), KeyError(_PHI)),
        type("DOE_JOHN_19470211Error", (Exception,), {})(_PHI),
        Exception({"path": Path(_PHI)}, [_PHI]),
        RuntimeError("\n".join([_PHI] * 1000)),
        OSError(_PHI),
    ]
    return [*system, *(kind(_PHI) for kind in kinds), *special]


@pytest.fixture(scope="module")
def coordinator() -> Coordinator:
    return Coordinator()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, coordinator: Coordinator) -> SiteHome:
    return joined_site(tmp_path_factory.mktemp("site"), coordinator)


def _raise(error: Exception) -> Callable[..., Any]:
    def work(*_: object, **__: object) -> Any:
        raise error

    return work


def test_fifty_crafted_failures_leave_a_code_and_nothing_else(
    home: SiteHome, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = _failures()
    assert len(failures) >= 50
    for number, error in enumerate(failures, start=1):
        # By turns where the data are read, where they train, and where the steward itself works.
        place = ("client.site._open", "client.site._train", "client.steward.steward.answer_envelope")[number % 3]
        with monkeypatch.context() as patched:
            patched.setattr(place, _raise(error))
            reply = Steward(home).answer(coordinator.order("north", number))
        assert refusal_of(reply) in get_args(RefusalReason)
        told = repr(reply)
        assert not [mark for mark in (*_MARKS, str(home.folder), home.folder.parent.name) if mark in told], error
    log = (home.folder / "errors.log").read_text("utf-8")
    assert log.count("DOE^JOHN") > 50, "the site itself can read what happened"
    assert not [mark for mark in _MARKS if mark in home.events_path.read_text("utf-8")]


def test_a_disk_without_space_has_its_code(
    home: SiteHome, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.site._open", _raise(OSError(errno.ENOSPC, "No space left on device", _PHI)))
    assert refusal_of(Steward(home).answer(coordinator.order("north", 900))) == "disk_full"


def _texts(reply: Envelope) -> str:
    return json.dumps({record: dict(texts) for record, texts in reply.records.items()})


def _require_only_the_contract(asked: Envelope, reply: Envelope, home: SiteHome) -> None:
    """Check that a reply holds nothing but codes, numbers, its own name, signatures, what was asked, and weights."""
    assert len(reply.records) == 1
    assert all(set(texts) <= set(KEYS) for texts in reply.records.values())
    told = _texts(reply)
    assert str(home.folder) not in told
    assert "data_north" not in told
    assert "north-p" not in told, "a patient's pseudonym"
    if reply.arrays:
        assert {name: array.shape for name, array in reply.arrays.items()} == {
            name: array.shape for name, array in asked.arrays.items()
        }
        assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in reply.arrays.values())


def _malicious(coordinator: Coordinator, rng: random.Random) -> Envelope:
    """Return something signed by the coordinator that the site trusts, bent in one way or another, or in none."""
    names = ["layer", "bias", "../../x", "control/layer", "masked", "a" * 300, "\x00", "dataset"]
    shapes: list[tuple[int, ...]] = [(3, 4), (4,), (), (0,), (2, 2, 2)]
    values = [1.0, np.nan, np.inf, 3e38]
    bent = {
        rng.choice(names): np.full(rng.choice(shapes), rng.choice(values), np.float32) for _ in range(rng.randint(0, 4))
    }
    weights = rng.choice([WEIGHTS, WEIGHTS, {**WEIGHTS, **bent}, bent])
    fields: dict[str, object] = {
        "seed": rng.choice([None, None, 7]),
        "target_epsilon": rng.choice([8.0, 0.5, 1e9, None]),
        "kept_at_site": rng.choice(["nothing", "normalisation", "head"]),
        "control_variates": rng.random() < 0.2,
        "steps_per_round": rng.choice([1, 8, 10**9]),
        "patients_per_step": rng.choice([0.001, 6, 1e9]),
    }
    strange = "".join(rng.choices(string.printable, k=20)) + rng.choice(["", "../../etc", "x" * 500, "\x00"])
    run = rng.choice(["".join(rng.choices(string.ascii_letters, k=20)), strange])
    network = rng.choice([{}, {}, {}, {"file": "/etc/passwd"}, {"channels": [10**9]}])
    plan = TrainingPlan.model_construct(**{**TrainingPlan().model_dump(), **fields})
    number = rng.choice([1, 2, 10**9])
    order = RoundOrder.model_construct(run=run, round=number, plan=plan, network=network, issued=datetime.now(UTC))
    return coordinator.signed_order("north", order, weights)


def test_a_malicious_server_app_obtains_nothing_beyond_the_contract(tmp_path: Path, coordinator: Coordinator) -> None:
    home, rng = joined_site(tmp_path, coordinator), random.Random(5)
    steward, trained = Steward(home), 0
    kinds = ("query.advertise", "query.share", "query.agree", "query.unmask", "query.files", "evaluate", "train.scans")
    for number in range(600):
        asked = replace(_malicious(coordinator, rng), kind=rng.choice(("train",) * 12 + kinds))
        reply = steward.answer(asked)
        _require_only_the_contract(asked, reply, home)
        trained += bool(reply.arrays)
        if number % 40 == 0:
            files = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
            assert files == {"state", "data_north"}, "nothing was written elsewhere"
    assert trained > 1, "some of the orders were honest enough to train"
    policy = read_policy(home.folder)
    charged = ledger_of(policy, home.folder, next(tmp_path.glob("data_*"))).history()
    assert None not in charged, "nothing trained without privacy"
    assert load_trainer(policy.trainer).epsilon([charge for charge in charged if charge], 0.01) <= policy.epsilon_budget


@pytest.mark.parametrize("extra", ["x", "a path", {"b": np.zeros(10**6, np.float32)}])
def test_a_trainer_that_returns_more_than_it_got_releases_nothing(
    extra: object, tmp_path: Path, coordinator: Coordinator
) -> None:
    home = joined_site(tmp_path, coordinator)
    fault = "extra_array" if isinstance(extra, dict) else "wrong_dtype" if extra == "x" else "not_finite"
    (next(tmp_path.glob("data_*")) / "fault.txt").write_text(fault, "utf-8")
    assert refusal_of(Steward(home).answer(coordinator.order("north"))) == "internal_error"


@pytest.mark.parametrize(
    "reply",
    [
        Envelope("train", {"report": {"json": "{}"}}, {**WEIGHTS, "more": np.zeros(1, np.float32)}),
        Envelope("train", {"report": {"json": "{}"}}, {**WEIGHTS, "layer": np.zeros((4, 3), np.float32)}),
        Envelope("train", {"report": {"json": "{}"}}, {**WEIGHTS, "layer": np.zeros((3, 4), np.float64)}),
        Envelope("train", {"report": {"json": "{}"}}, {**WEIGHTS, "layer": np.full((3, 4), np.nan, np.float32)}),
        Envelope("train", {"report": {"json": "{}"}}, {}),
        Envelope("train", {"refusal": {"json": "{}"}}, WEIGHTS),
        Envelope("train", {"report": {"json": "{}", "scan": "x"}}, WEIGHTS),
        Envelope("train", {"report": {"json": "{}"}, "secure": {"json": "{}"}}, WEIGHTS),
        Envelope("train", {"site": {"json": "{}"}}, {}),
    ],
)
def test_the_last_look_lets_only_agreed_shapes_through(reply: Envelope) -> None:
    asked = Envelope("train", {ORDER: {"json": "{}"}}, WEIGHTS)
    with pytest.raises(NotReleasedError):
        require_releasable(asked, reply)


@pytest.mark.parametrize(("senders", "leaves"), [((), True), (("B",), True), (("B", "DOE JOHN"), False)])
def test_a_refusal_names_no_site_that_was_not_named_to_it(senders: tuple[str, ...], leaves: bool) -> None:
    asked = Envelope("train", {ORDER: {"json": "{}"}, "secure": {"json": '{"sealed": {"B": "", "C": ""}}'}}, WEIGHTS)
    for question in (asked, replace(asked, records={ORDER: {"json": "{}"}})):
        reply = question.refusal("north", 1, "share_unreadable", senders)
        with nullcontext() if not senders or (leaves and question is asked) else pytest.raises(NotReleasedError):
            require_releasable(question, reply)


def test_a_report_has_a_closed_set_of_fields() -> None:
    """Whoever adds one has to think about what it tells; the page for sites lists them."""
    told = {"site", "round", "epsilon", "delta", "noise_multiplier", "steps", "seconds"}
    assert set(SiteReport.model_fields) == told
    assert set(SiteRefusal.model_fields) == {"site", "round", "reason", "senders"}
    page = Path(__file__).parents[3] / "docs" / "for-sites.md"
    assert not [name for name in told - {"site", "round"} if not re.search(rf"`{name}`", page.read_text("utf-8"))]


def test_a_policy_cannot_be_changed_from_outside(home: SiteHome, coordinator: Coordinator) -> None:
    before = (home.folder / "site.toml").read_bytes()
    order = json.loads(coordinator.order("north", 950).text(ORDER))
    for name in SitePolicy.model_fields:
        asked = Envelope("train", {ORDER: {"json": json.dumps({**order, name: True})}}, WEIGHTS)
        refusal_of(Steward(home).answer(asked))
    set_policy(home, GENEROUS)
    assert (home.folder / "site.toml").read_bytes() == before
