"""Code that nobody approved never runs: it is kept, shown with its difference, and refused with a code."""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from collections.abc import Iterator, Mapping
from types import ModuleType

import pytest
from fake_coordinator import Coordinator, refusal_of
from flwr.app import ConfigRecord, Context, Message, RecordDict

from client.envelope import Envelope
from client.flower import Config, run_gated
from client.steward.code import CodeBook, installed_files, unpacked
from client.steward.events import SiteLog
from client.steward.gate import admits, refusal
from client.steward.home import SiteHome
from client.steward.listener import Listener
from client.steward.steward import Steward
from client.wire import WireError, ask
from fedpsma.errors import InputError
from server.flower import take_identity

OLD = {"client/app.py": "app = 1\n", "client/more.py": "x = 1\n"}
NEW = {"client/app.py": "app = 1\nopen('/data')\n", "client/more.py": "x = 1\n"}


def _bundle(files: Mapping[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in {**files, ".info/CONTENT": "hashes"}.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return content.getvalue()


@pytest.fixture
def socket(home: SiteHome) -> Iterator[str]:
    """Where the steward of the site listens."""
    listener = Listener(home.socket_path, Steward(home).answer)
    yield str(home.socket_path)
    listener.close()


def test_code_runs_after_a_yes_and_never_before(home: SiteHome, socket: str) -> None:
    book, bundle = CodeBook(home.code_path), _bundle(OLD)
    assert not admits(socket, bundle)
    assert not admits(socket, bundle)
    sha256 = hashlib.sha256(bundle).hexdigest()
    assert book.waiting() == [sha256]
    arrived = [event for event in SiteLog(home.events_path).read() if event.kind == "code_arrived"]
    assert [event.sha256 for event in arrived] == [sha256], "noted once"
    book.approve(sha256)
    assert admits(socket, bundle)
    assert not book.waiting()
    book.reject(sha256)
    assert not admits(socket, bundle)


def test_the_difference_to_the_last_approved_code_is_shown(home: SiteHome) -> None:
    book = CodeBook(home.code_path)
    book.approve(book.keep(_bundle(OLD)))
    shown = book.difference(book.keep(_bundle(NEW)), {})
    assert "+open('/data')" in shown
    assert "more.py" not in shown
    assert book.find(hashlib.sha256(_bundle(NEW)).hexdigest()[:6]) == book.waiting()[0]
    with pytest.raises(InputError, match="no bundle"):
        book.find("zzz")


def test_the_first_bundle_is_compared_with_what_is_installed() -> None:
    files = {"client/app.py": "", "../../etc/passwd": "", "/etc/passwd": "", "client/none.py": ""}
    assert set(installed_files(files)) == {"client/app.py"}


def test_what_is_no_bundle_is_refused(home: SiteHome) -> None:
    book = CodeBook(home.code_path)
    with pytest.raises(ValueError, match="too large"):
        book.keep(bytes(11 * 2**20))
    with pytest.raises(ValueError, match="no archive"):
        unpacked(b"nothing")
    with pytest.raises(ValueError, match="too large"):
        unpacked(_bundle({"client/bomb.py": "x" * (2**20 + 1)}))


def test_refused_code_is_answered_with_a_signed_code(home: SiteHome, socket: str, coordinator: Coordinator) -> None:
    reply = refusal(socket, coordinator.order("north", 3))
    assert refusal_of(reply) == "code_not_approved"
    assert coordinator.believes(reply, "north", home.request().signing_key, number=3)
    named = refusal(socket, coordinator.question())
    assert (named.kind, named.records["site"]["name"]) == ("query.identify", "north")
    stage = coordinator.stage("north", "advertise", '{"session": {"run": "r", "round": 2}}', "r", 2)
    assert refusal_of(refusal(socket, stage)) == "code_not_approved"


def test_a_bundle_that_is_none_is_not_let_run(home: SiteHome, socket: str) -> None:
    with pytest.raises((WireError, OSError)):
        admits(socket, bytes(13 * 2**20))
    for records in ({}, {"site": {"json": "?"}}, {"site": {"name": "x"}}):
        assert refusal_of(ask(socket, Envelope("code", records))) == "protocol_violated"
    assert not home.code_path.exists()


class _Process:
    """Flower's process of one message, as far as the gate touches it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, said: str | None = None) -> None:
        from flwr.supernode.runtime import run_clientapp as process

        self.installed: list[bytes] = []
        self.loaded: list[tuple[str, ...]] = []
        self.reply: Message | None = None
        self.said = said
        self.app: object = None
        monkeypatch.setattr(process, "install_from_fab", lambda content, skip_prompt: self.installed.append(content))
        monkeypatch.setattr(process, "get_load_client_app_fn", lambda **_: self._load)
        monkeypatch.setattr("client.flower.clientapp_command", lambda: lambda: self._run(process))

    def _load(self, *names: str) -> object:
        self.loaded.append(names)
        if isinstance(self.app, Exception):
            raise self.app
        return self.app

    def _run(self, process: ModuleType) -> None:
        bundle = _bundle(OLD)
        process.install_from_fab(bundle, skip_prompt=True)
        load = process.get_load_client_app_fn(default_app_ref="", app_path=None, multi_app=True)
        app = load("fedpsma/fedpsma", "0", self.said or hashlib.sha256(bundle).hexdigest())
        take_identity()
        message = Message(RecordDict({"order": ConfigRecord({"json": '{"run": "r", "round": 1}'})}), 1, "train")
        self.reply = app(message=message, context=Context(1, 1, {}, RecordDict(), {}))


def _refuse(asked: Envelope, node: Config, run: Config) -> Envelope:
    return asked.refusal("north", 1, "code_not_approved")


def _code(reply: Message | None) -> str:
    assert reply is not None
    assert not reply.has_error()
    return str(reply.content["refusal"]["json"])


@pytest.fixture(autouse=True)
def _same_modules() -> Iterator[None]:
    before = dict(sys.modules)
    yield
    sys.modules.update(before)


def test_nothing_of_refused_code_is_unpacked_or_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    process = _Process(monkeypatch)
    run_gated(lambda _: False, _refuse)
    assert "code_not_approved" in _code(process.reply)
    assert (process.installed, process.loaded) == ([], [])


def test_a_bundle_under_the_name_of_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    process = _Process(monkeypatch, said="ab" * 32)
    run_gated(lambda _: True, _refuse)
    assert "code_not_approved" in _code(process.reply)
    assert process.loaded == []


def test_a_gate_that_fails_stays_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    process = _Process(monkeypatch)

    def fail(_: bytes) -> bool:
        raise OSError("/data/DOE^JOHN")

    run_gated(fail, _refuse)
    assert "code_not_approved" in _code(process.reply)
    assert "DOE" not in repr(process.reply)


@pytest.mark.parametrize("where", ["load", "call"])
def test_approved_code_runs_and_its_exceptions_stay(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    process = _Process(monkeypatch)

    def fail(message: Message, context: Context) -> Message:
        raise RuntimeError("/data/DOE^JOHN")

    process.app = RuntimeError("/data/DOE^JOHN") if where == "load" else fail
    run_gated(lambda _: True, _refuse)
    assert process.installed == [_bundle(OLD)]
    assert len(process.loaded) == 1
    assert "internal_error" in _code(process.reply)
    assert "DOE" not in repr(process.reply)


def test_one_new_bundle_after_the_other_fills_no_disk(home: SiteHome) -> None:
    book = CodeBook(home.code_path)
    book.approve(book.keep(_bundle(OLD)))
    last = [book.keep(_bundle({"client/app.py": f"app = {number}\n"})) for number in range(20)][-1]
    assert len(book.waiting()) == 8
    assert last in book.waiting()
    assert len(list(book.folder.glob("*.fab"))) == 9
