"""Which nodes take part: those that are there, are known, and are the only ones of their name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_trainer import make_sites, tiny_config

import server.roll_call
from fedpsma.contract import RoundOrder, SiteReport
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import Weights
from server.failures import FederationError
from server.flower import take_identity
from server.replies import Reply
from server.rounds import run_rounds
from server.run_folder import RunFolder
from server.signing import Sealed
from server.simulation import SimulationConfig, simulate


class _Link:
    """Nodes that send back what they got; ``names`` says who they claim to be, ``silent`` who never answers."""

    def __init__(self, names: dict[int, str], silent: Sequence[int] = ()) -> None:
        self.names = names
        self.silent = silent
        self.asked: list[list[str]] = []
        self.interrupted = threading.Event()

    def nodes(self) -> list[int]:
        return sorted(self.names)

    def identify(self, nodes: Sequence[int], question: Sealed) -> dict[int, Sealed]:
        return {node: Sealed(self.names[node]) for node in nodes}

    def pause(self, seconds: float) -> None:
        pass

    def train(
        self, nodes: Sequence[int], order_for: Callable[[int], Sealed], weights: Weights, waits: object
    ) -> Iterator[Reply]:
        self.asked.append([self.names[node] for node in nodes])
        for node in nodes:
            order = RoundOrder.model_validate_json(order_for(node).text)
            if node not in self.silent:
                report = SiteReport(
                    site=self.names[node],
                    round=order.round,
                    epsilon=1.0,
                    delta=order.plan.delta,
                    noise_multiplier=1.0,
                    steps=1,
                    seconds=0.0,
                )
                yield Reply(node, "report", report.model_dump_json(), {n: _Packed(a) for n, a in weights.items()})


class _Packed:
    def __init__(self, values: object) -> None:
        self.values = values
        self.dtype, self.shape, self.data = str(values.dtype), values.shape, values.tobytes()

    def numpy(self) -> object:
        return self.values


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A prepared run folder of the sites A, B and C."""
    monkeypatch.setattr(server.roll_call, "ARRIVAL_S", 0.0)
    monkeypatch.setattr(server.simulation.run, "_engine", lambda name: lambda folder: None)
    simulate(tiny_config(tmp_path, rounds=1))
    take_identity()
    return RunFolder(tmp_path / "run")


def _named(folder: RunFolder) -> list[tuple[str | None, str | None]]:
    return [(event.site, event.reason) for event in folder.events.read()[0] if event.kind == "site_quarantined"]


def test_sites_are_asked_in_the_order_of_their_names(folder: RunFolder) -> None:
    link = _Link({3: "A", 1: "C", 2: "B"})
    run_rounds(link, folder.path)
    assert link.asked == [["A", "B", "C"]]


def test_a_node_that_nobody_admitted_is_not_asked(folder: RunFolder) -> None:
    link = _Link({1: "A", 2: "B", 3: "Mallory", 4: ""})
    run_rounds(link, folder.path)
    assert link.asked == [["A", "B"]]
    assert _named(folder) == [(None, "unknown_site"), (None, "unknown_site")]


def test_of_two_nodes_with_one_name_neither_is_asked(folder: RunFolder) -> None:
    link = _Link({1: "A", 2: "B", 3: "C", 4: "C"})
    run_rounds(link, folder.path)
    assert link.asked == [["A", "B"]]
    assert _named(folder) == [("C", "duplicate_site")]


def test_a_site_that_does_not_answer_is_left_out(folder: RunFolder) -> None:
    run_rounds(_Link({1: "A", 2: "B", 3: "C"}, silent=[2]), folder.path)
    assert _named(folder) == [("B", "no_reply")]
    assert folder.last_state().sites.keys() == {"A", "C"}


def test_a_run_that_nobody_joins_fails(folder: RunFolder) -> None:
    with pytest.raises(FederationError, match="no site was there to be asked"):
        run_rounds(_Link({}), folder.path)


def test_too_few_that_all_answered_are_not_said_to_be_silent(folder: RunFolder) -> None:
    with pytest.raises(FederationError, match=r"2 needed \(every site that was asked answered\)"):
        run_rounds(_Link({1: "A"}), folder.path)


def test_nobody_trains_where_a_site_would_count_for_nothing(folder: RunFolder) -> None:
    for path, old, new in (
        (folder.path / "rules.json", '"equal"', '"patients"'),
        (folder.path / "federation.json", '"patients": 12', '"patients": null'),
    ):
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")
    link = _Link({1: "A", 2: "B", 3: "C"})
    with pytest.raises(InputError, match="registered no number of patients"):
        run_rounds(link, folder.path)
    assert not link.asked


class _ForgetfulLink(_Link):
    """Two nodes fall away after the first round and come back after three looks; time is counted in pauses."""

    def __init__(self, names: dict[int, str], clock: list[float]) -> None:
        super().__init__(names)
        self.clock = clock
        self.looks = 0

    def nodes(self) -> list[int]:
        self.looks += bool(self.asked)
        return sorted(self.names)[: -2 if 1 <= self.looks <= 3 else None]

    def pause(self, seconds: float) -> None:
        self.clock[0] += seconds


@pytest.mark.parametrize(
    ("rules", "asked"),
    [
        ({"strategy": {"name": "krum"}}, [5, 5]),
        ({"strategy": {"name": "fedmedian"}}, [5, 3]),
        ({"strategy": {"name": "fedmedian"}, "participation": {"sites_per_round": 4}}, [4, 3]),
    ],
)
def test_a_later_round_waits_for_as_many_as_its_strategy_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: dict[str, object], asked: list[int]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(server.roll_call, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(server.simulation.run, "_engine", lambda name: lambda folder: None)
    five = {"datasets": make_sites(tmp_path / "five", "ABCDE"), **rules}
    simulate(SimulationConfig.model_validate({**tiny_config(tmp_path, rounds=2).model_dump(), **five}))
    link = _ForgetfulLink(dict(enumerate("ABCDE")), clock)
    take_identity()
    run_rounds(link, tmp_path / "run")
    assert [len(names) for names in link.asked] == asked
