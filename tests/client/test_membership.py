"""The commands by which a site takes part: what they write, what they ask, what they refuse."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from authorities import certificate
from click.testing import Result
from fake_coordinator import Coordinator
from tiny_trainer import make_sites
from typer.testing import CliRunner

from client.commands import site
from client.policy import read_policy
from client.steward.code import CodeBook
from client.steward.events import SiteLog
from client.steward.home import SiteHome
from client.steward.run import run_site
from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.joining.records import SiteRequest
from fedpsma.secure_aggregation.identity import identity_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_sites(tmp_path, ["north"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _site(*arguments: object, answer: str = "") -> Result:
    result = CliRunner().invoke(site, [str(one) for one in arguments], input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def _bundle(folder: Path, days: float = 365, federation: str = "prostate") -> str:
    bundle = Coordinator(federation).bundle(ca=certificate(days))
    bundle.write(folder / "bundle.json")
    return bundle.fingerprint


def test_from_nothing_to_joined_in_two_commands(folder: Path) -> None:
    said = _site("init", "data_north").output
    request = SiteRequest.read(folder / "site" / "request.json")
    assert (request.site, request.patients, request.synthetic) == ("north", 12, True)
    assert request.fingerprint in said
    fingerprint = _bundle(folder)
    said = _site("join", "bundle.json", "--fingerprint", fingerprint.lower()).output
    assert fingerprint in said
    home = SiteHome(folder / "site")
    assert home.joined
    assert CodeBook(home.code_path).is_approved("ab" * 32)
    status = json.loads(_site("status", "--json").output)
    assert (status["site"], status["federation"], status["running"], status["epsilon"]) == (
        "north",
        "prostate",
        False,
        0,
    )


def test_a_new_version_of_the_code_is_not_approved_by_joining_again(folder: Path) -> None:
    _site("init", "data_north")
    _site("join", "bundle.json", "--fingerprint", _bundle(folder))
    upgraded = Coordinator().bundle(ca=certificate(), app="cd" * 32)
    upgraded.write(folder / "bundle.json")
    said = _site("join", "bundle.json", "--fingerprint", upgraded.fingerprint).output
    assert "waits for your yes" in said
    book = CodeBook(folder / "site" / "code")
    assert (book.is_approved("ab" * 32), book.is_approved("cd" * 32)) == (True, False)


def test_keys_are_for_the_owner_alone_and_never_in_the_request(folder: Path) -> None:
    _site("init", "data_north", "--no-patients")
    home = SiteHome(folder / "site")
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700
    for path in (home.node_key_path, home.folder / "identity.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    told = home.request_path.read_text()
    assert "PRIVATE" not in told
    assert identity_of(home.folder).private_bytes_raw().hex() not in told
    assert str(folder) not in told
    assert SiteRequest.read(home.request_path).patients is None


def test_the_policy_that_is_written_is_valid_and_careful(folder: Path) -> None:
    _site("init", "data_north")
    policy = read_policy(folder / "site")
    assert policy.dataset == folder / "data_north"
    assert policy.allows(TrainingPlan())
    for plan in ({"seed": 1}, {"target_epsilon": None}, {"min_sites": 1}, {"device": "cuda"}, {"rounds": 10_000}):
        assert not policy.allows(TrainingPlan.model_validate(plan))


def test_a_second_site_in_the_same_folder_is_refused(folder: Path) -> None:
    _site("init", "data_north")
    key = (folder / "site" / "node.key").read_bytes()
    with pytest.raises(InputError, match="is a site already"):
        _site("init", "data_north")
    assert (folder / "site" / "node.key").read_bytes() == key


def test_a_name_that_no_file_can_have_is_refused_in_words_and_leaves_nothing(folder: Path) -> None:
    with pytest.raises(InputError, match=r"is no name: it has up to 64 letters.* give one with --name"):
        _site("init", "data_north", "--name", "Klinik Süd/2")
    assert not (folder / "site").exists()


def test_a_site_that_runs_takes_up_a_new_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    _site("init", "data_north")
    _site("join", "bundle.json", "--fingerprint", _bundle(folder))
    served, ended = [], Event()

    def keep_running(self, over: Event, still_wanted) -> None:
        served.append(self.bundle.address)
        assert still_wanted()
        if len(served) == 2:
            over.set()
            return
        moved = self.bundle.model_copy(update={"address": "127.0.0.1:22"})
        moved.write(folder / "bundle.json")
        assert "takes it up by itself" in _site("join", "bundle.json", "--fingerprint", moved.fingerprint).output
        assert not still_wanted()

    monkeypatch.setattr("client.steward.run.SuperNode.keep_running", keep_running)
    run_site(SiteHome(folder / "site"), ended)
    assert served == ["127.0.0.1:1", "127.0.0.1:22"]


@pytest.mark.parametrize(("arguments", "answer"), [((), "n\n"), (("--fingerprint", "0000-1111"), "")])
def test_another_fingerprint_joins_nothing(arguments: tuple[str, ...], answer: str, folder: Path) -> None:
    _site("init", "data_north")
    _bundle(folder)
    try:
        assert _site("join", "bundle.json", *arguments, answer=answer).exit_code == 1
    except InputError as error:
        assert "fingerprint" in str(error)  # noqa: PT017 - the other way out is no exception
    assert not SiteHome(folder / "site").joined


def test_an_expired_certificate_and_a_second_federation_are_refused(folder: Path) -> None:
    _site("init", "data_north")
    with pytest.raises(InputError, match="ended on"):
        _site("join", "bundle.json", "--fingerprint", _bundle(folder, days=-1))
    _site("join", "bundle.json", "--fingerprint", _bundle(folder))
    with pytest.raises(InputError, match="has joined prostate"):
        _site("join", "bundle.json", "--fingerprint", _bundle(folder, federation="other"))


def test_pause_resume_and_leave(folder: Path) -> None:
    _site("init", "data_north")
    _site("join", "bundle.json", "--fingerprint", _bundle(folder))
    home = SiteHome(folder / "site")
    _site("pause")
    assert home.paused == "after this round"
    _site("pause", "--now")
    assert home.paused == "now"
    _site("resume")
    assert home.paused is None
    assert _site("leave", answer="n\n").exit_code == 1
    assert home.joined
    _site("leave", "--yes")
    assert not home.joined
    assert not CodeBook(home.code_path).approved()
    assert home.node_key_path.exists()
    kinds = [event.kind for event in SiteLog(home.events_path).read()]
    assert kinds == ["joined", "paused", "paused", "resumed", "left"]
    with pytest.raises(InputError, match="has not joined"):
        _site("leave", "--yes")


@pytest.mark.parametrize("policy", ["", "epsilon_budget = 8\n", "epsilon_budget = 8\ndataset = 'd'\nhours = ['now']\n"])
def test_a_site_does_not_run_with_a_policy_that_is_wrong(policy: str, folder: Path) -> None:
    from threading import Event

    _site("init", "data_north")
    _site("join", "bundle.json", "--fingerprint", _bundle(folder))
    (folder / "site" / "site.toml").write_text(policy, "utf-8")
    with pytest.raises(InputError, match=r"site\.toml|policy"):
        run_site(SiteHome(folder / "site"), Event())


@pytest.mark.parametrize(("days", "warned"), [(13, True), (15, False)])
def test_the_end_of_a_certificate_is_told_fourteen_days_before(days: int, warned: bool, folder: Path) -> None:
    from threading import Event

    _site("init", "data_north")
    _site("join", "bundle.json", "--fingerprint", _bundle(folder, days=days))
    ended = Event()
    ended.set()
    run_site(SiteHome(folder / "site"), ended)
    kinds = [event.kind for event in SiteLog(folder / "site" / "events.jsonl").read()]
    assert kinds == ["joined", "started", *(["certificate_ends"] if warned else []), "ended"]
    assert ("tell the coordinator, who renews it" in " ".join(_site("status").output.split())) is warned


def test_the_code_command_shows_what_waits_and_asks_before_it_runs(folder: Path) -> None:
    _site("init", "data_north")
    book = CodeBook(folder / "site" / "code")
    assert "none is approved" in _site("code").output
    (book.folder / "x").parent.mkdir()
    sha256 = book.keep(_zip("client/evil.py", "print('\x1b[2K hidden')\n"))
    assert f"{sha256}  waits for your yes" in _site("code").output
    said = _site("code", sha256[:8], "--approve", answer="n\n")
    assert "\\x1b[2K hidden" in said.output
    assert "\x1b" not in said.output
    assert not book.is_approved(sha256)
    _site("code", sha256[:8], "--approve", answer="y\n")
    assert book.is_approved(sha256)
    _site("code", sha256[:8], "--reject")
    assert not book.is_approved(sha256)


def _zip(name: str, text: str) -> bytes:
    import io
    import zipfile

    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, text)
    return content.getvalue()


def test_the_unit_of_a_site_may_write_its_folder_and_its_ledger_alone(folder: Path) -> None:
    _site("init", "data_north")
    (line,) = (line for line in _site("service").output.split("\n") if line.startswith("ReadWritePaths"))
    assert line == f"ReadWritePaths={folder / 'site'} {folder / 'data_north'}"
    policy = (folder / "site" / "site.toml").read_text("utf-8")
    (folder / "site" / "site.toml").write_text('ledger = "ledger.jsonl"\n' + policy, "utf-8")
    assert f"ReadWritePaths={folder / 'site'}\n" in _site("service").output
    (folder / "site" / "site.toml").write_text("epsilon_budget = -1\n", "utf-8")
    with pytest.raises(InputError, match="epsilon_budget"):
        _site("service")
