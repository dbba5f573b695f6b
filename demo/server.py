"""Serves the page on this machine only, with headers that let the browser load nothing from anywhere else."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request, Response

from demo.library import find_cases
from demo.page import STYLE, build_page
from fedpsma.errors import InputError

HOST = "127.0.0.1"
LARGEST_UPLOAD = "5mb"
# Gradio evaluates its templates in the browser, so 'unsafe-eval' has to stay.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; "
        "object-src 'none'; base-uri 'self'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def serve(folder: Path | None, port: int) -> None:
    """Serve the page until it is stopped.

    Raises:
        InputError: There is nothing to read in ``folder``, or the port is taken.
    """
    cases = find_cases(folder, readings=Path("readings"))
    _require_free(port)
    with tempfile.TemporaryDirectory(prefix="fedpsma-demo-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        uvicorn.run(build_application(build_page(cases)), host=HOST, port=port, log_level="warning")


def build_application(page: gr.Blocks) -> FastAPI:
    """Put the page behind the headers, with everything that keeps or sends data switched off."""
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    application.middleware("http")(_add_headers)
    mounted: FastAPI = gr.mount_gradio_app(
        application,
        page,
        path="/",
        server_name=HOST,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        max_file_size=LARGEST_UPLOAD,
        show_error=False,
        css=STYLE,
    )
    return mounted


async def _add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise InputError("is in use", where=f"port {port}", remedy="give another one with --port")
