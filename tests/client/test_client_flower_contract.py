"""Names what the client uses of Flower beside its public app; when an upgrade breaks one, client/flower.py changes."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from authorities import certificate
from flwr.common.config import parse_config_args
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.runtime import run_clientapp as process

from client.envelope import Envelope
from client.flower import RunWatch
from fedpsma.joining.keys import make_node_key

ASKED = Envelope("train", flower_run=7, node=9)


def test_the_gate_finds_what_it_stands_before() -> None:
    source = inspect.getsource(process.run_clientapp)
    unpack, load, run = (
        source.index(step)
        for step in (
            "install_from_fab(fab.content",
            "client_app: ClientApp = load_client_app_fn(",
            "client_app(message=",
        )
    )
    assert unpack < load < run, "the code is looked at before it is loaded"
    assert source.index("get_load_client_app_fn(") > unpack


def test_the_process_of_a_message_loads_no_server() -> None:
    code = (
        "import sys\nfrom client.flower import clientapp_command\nimport client.steward.gate\n"
        "command = clientapp_command()\nassert command.__name__ == 'flwr_clientapp'\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'monai', 'uvicorn', 'sqlalchemy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_supernode_takes_the_options_that_it_is_given() -> None:
    options = (
        *("--superlink", "localhost:1", "--root-certificates", "a.crt", "--auth-supernode-private-key", "node.key"),
        *("--host", "127.0.0.1", "--port", "7", "--node-config", 'steward="/a place/steward.sock"'),
    )
    cli = importlib.import_module("flwr.supernode.cli.flower_supernode")
    found = cli._parse_args_run_supernode().parse_args(options)
    assert parse_config_args([found.node_config]) == {"steward": "/a place/steward.sock"}


@pytest.fixture
def watch(tmp_path: Path) -> RunWatch:
    make_node_key(tmp_path / "node.key")
    return RunWatch("localhost:1", certificate().encode(), (tmp_path / "node.key").read_bytes())


def _answers(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> list[tuple[int, int]]:
    asked: list[tuple[int, int]] = []

    def get_run(self: FleetHttpClient, request: object) -> None:
        asked.append((request.run_id, request.node.node_id))  # type: ignore[attr-defined]
        if error is not None:
            raise error

    monkeypatch.setattr(FleetHttpClient, "GetRun", get_run)
    return asked


def _refused(code: int) -> httpx.HTTPStatusError:
    payload = FlowerError(code, "private").to_json("public")
    return httpx.HTTPStatusError(
        "refused", request=httpx.Request("POST", "https://x"), response=httpx.Response(409, json=payload)
    )


def test_a_run_that_ended_is_over(watch: RunWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _answers(monkeypatch, _refused(ApiErrorCode.FLEET_RUN_STATUS_NOT_ALLOWED))
    assert watch.is_over(ASKED)
    assert asked == [(7, 9)]


@pytest.mark.parametrize(
    "error",
    [
        None,
        httpx.ConnectError("no network"),
        httpx.ReadTimeout("slow"),
        httpx.HTTPStatusError(
            "", request=httpx.Request("POST", "https://x"), response=httpx.Response(503, text="door")
        ),
    ],
)
def test_a_run_that_goes_on_or_cannot_be_asked_for_is_not_over(
    error: Exception | None, watch: RunWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answers(monkeypatch, error)
    assert not watch.is_over(ASKED)
