from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the page needs the extra 'demo'")

import uvicorn

from demo import server
from fedpsma.errors import InputError


def test_what_readers_bring_lies_in_a_private_folder_that_is_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    seen: dict[str, Any] = {}
    addresses: list[str] = []

    def run(_: object, **options: Any) -> None:
        folder = Path(os.environ["GRADIO_TEMP_DIR"]).parent
        (folder / "left.json").write_text("{}", "utf-8")
        seen.update(folder=folder, mode=(folder / "left.json").stat().st_mode, **options)

    monkeypatch.setattr(uvicorn, "run", run)
    umask = os.umask(0o022)
    os.umask(umask)
    server.serve(server.Served(), 7861, addresses.append)
    assert addresses == ["http://127.0.0.1:7861/"]
    assert not seen["folder"].exists()
    assert stat.S_IMODE(seen["mode"]) == 0o600
    assert (seen["host"], seen["access_log"]) == ("127.0.0.1", False)
    assert os.umask(umask) == umask


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind((server.HOST, 0))
        taken.listen()
        with pytest.raises(InputError, match="in use"):
            server.serve(server.Served(), taken.getsockname()[1], print)
