"""Serves the page on this machine only, with everything that keeps or sends data switched off."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from demo.library import find_cases
from demo.security import Account, Gate, Sessions
from demo.sessions import Folders, ReadingRoom
from fedpsma.errors import InputError
from fedpsma.offline import go_offline

HOST = "127.0.0.1"
_PRIVATE_UMASK = 0o077


@dataclass(frozen=True)
class Served:
    """What is served.

    ``folder`` is where the studies lie (``None``: the built-in examples), ``account`` who may come in (``None``:
    everybody on this machine), ``dicom`` the folder with the PET series, which SEG and SR copy their headers from, and
    ``runs`` the folder with the runs of a federation (``None``: those in ``folder``).
    """

    folder: Path | None = None
    account: Account | None = None
    dicom: Path | None = None
    runs: Path | None = None


def serve(served: Served, port: int, announce: Callable[[str], None]) -> None:
    """Serve the page until it is stopped; the private temporary folder is emptied then.

    Args:
        served: What is served.
        port: Port on this machine.
        announce: Called with the address once nothing stands against it.

    Raises:
        InputError: There is nothing to read in the folder, or the port is taken.
    """
    readings = Path("readings")
    cases = find_cases(served.folder, readings)
    _require_free(port)
    with _private_files(), tempfile.TemporaryDirectory(prefix="fedpsma-demo-") as temporary:
        private = Path(temporary)
        go_offline()
        os.environ["GRADIO_TEMP_DIR"] = str(private / "gradio")
        folders = Folders(private / "uploads", readings, served.dicom, served.runs or served.folder)
        room = ReadingRoom(cases, folders)
        # Gradio reads its switches when it is imported.
        import uvicorn

        application = build_application(room, served.account)
        announce(f"http://{HOST}:{port}/")
        uvicorn.run(application, host=HOST, port=port, log_level="warning", access_log=False)


def build_application(room: ReadingRoom, account: Account | None = None) -> ASGIApp:
    """Put the page and the addresses of the readings behind the gate."""
    import gradio as gr
    from fastapi import FastAPI

    from demo.page import HEAD, build_page
    from demo.routes import desk_router, session_name
    from demo.viewer.route import volume_router

    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    application.include_router(desk_router(room))
    application.include_router(volume_router(room.place.opened, session_name))
    mounted = gr.mount_gradio_app(
        application,
        build_page(),
        path="/",
        server_name=HOST,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        max_file_size="1kb",
        show_error=False,
        head=HEAD,
    )
    return Gate(mounted, Sessions(room.leave), account)


@contextmanager
def _private_files() -> Iterator[None]:
    """Make whatever is written meanwhile readable for its owner alone."""
    before = os.umask(_PRIVATE_UMASK)
    try:
        yield
    finally:
        os.umask(before)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise InputError("is in use", where=f"port {port}", remedy="give another one with --port")
