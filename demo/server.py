"""Serves the page on this machine only, with everything that keeps or sends data switched off."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from starlette.types import ASGIApp

from demo.library import find_cases
from demo.security import Account, Gate, Sessions
from demo.sessions import ReadingRoom
from fedpsma.errors import InputError
from fedpsma.offline import go_offline

HOST = "127.0.0.1"
_PRIVATE_UMASK = 0o077


def serve(folder: Path | None, port: int, account: Account | None = None) -> None:
    """Serve the page until it is stopped; the private temporary folder is emptied then.

    Args:
        folder: Where the studies lie; the built-in examples where none is given.
        port: Port on this machine.
        account: Who may come in; everybody on this machine where none is given.

    Raises:
        InputError: There is nothing to read in ``folder``, or the port is taken.
    """
    cases = find_cases(folder, readings=Path("readings"))
    _require_free(port)
    os.umask(_PRIVATE_UMASK)
    with tempfile.TemporaryDirectory(prefix="fedpsma-demo-") as temporary:
        private = Path(temporary)
        go_offline()
        os.environ["GRADIO_TEMP_DIR"] = str(private / "gradio")
        room = ReadingRoom(cases, private / "uploads")
        # Gradio reads its switches when it is imported.
        import uvicorn

        uvicorn.run(build_application(room, account), host=HOST, port=port, log_level="warning", access_log=False)


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


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise InputError("is in use", where=f"port {port}", remedy="give another one with --port")
