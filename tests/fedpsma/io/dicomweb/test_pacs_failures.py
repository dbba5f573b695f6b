"""Archives that misbehave: each ends in one line that names the archive, and none gets a patient into it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fedpsma.errors import InputError
from fedpsma.io.dicomweb.client import connect
from fedpsma.io.dicomweb.fetch import fetch_study
from fedpsma.io.dicomweb.find import StudyQuery, find_archived
from fedpsma.io.dicomweb.settings import PacsSettings

PATIENT = "MRN-4711"
JSON = "application/dicom+json"


@contextmanager
def _answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()


def _status(code: int, body: bytes = b"", kind: str = JSON, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def _hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1.5)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_status(401), "asks for a login"),
        (_status(403), "does not allow this"),
        (_status(404), "does not have this"),
        (_status(500), "HTTP status 500"),
        (_status(200, b"<html>portal</html>", "text/html"), "no DICOMweb"),
        (_status(200, b'{"not": "a list"'), "no DICOMweb"),
        (_status(302, Location="http://127.0.0.1:9/elsewhere"), "sends the request elsewhere"),
        (_hang, "does not answer in time"),
    ],
)
def test_one_line_for_each_failure(answer, reason):
    with _answering(answer) as url:
        pacs = connect(PacsSettings(url, timeout_s=0.5))
        with pytest.raises(InputError, match=reason) as failed:
            find_archived(pacs, StudyQuery(patient_id=PATIENT))
    assert PATIENT not in str(failed.value)
    assert "\n" not in str(failed.value)
    assert failed.value.__cause__ is None


def test_nobody_there():
    pacs = connect(PacsSettings("http://127.0.0.1:9/dicom-web", timeout_s=2))
    with pytest.raises(InputError, match="cannot be reached"):
        find_archived(pacs, StudyQuery(patient_id=PATIENT))


def test_a_query_for_everything_is_not_sent():
    pacs = connect(PacsSettings("http://127.0.0.1:9/dicom-web"))
    with pytest.raises(InputError, match="would list the whole archive"):
        find_archived(pacs, StudyQuery())


def test_a_uid_that_is_a_path_never_becomes_a_file(tmp_path):
    series = b'[{"0020000E": {"vr": "UI", "Value": ["../../evil"]}, "00080060": {"vr": "CS", "Value": ["PT"]}}]'
    with _answering(_status(200, series)) as url, pytest.raises(InputError, match="UID that is none"):
        fetch_study(connect(PacsSettings(url, timeout_s=5)), "1.2.3", tmp_path / "in")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
