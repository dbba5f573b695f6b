"""A language model behind a real server on loopback: heard, checked, and never trusted."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from fedpsma.errors import InputError
from reporting.endpoint import Endpoint, EndpointWriter
from reporting.sentences import SentenceRequest
from reporting.wording.phrasing import style

CODES = ("change:new", "class:indeterminate", "ct:none", "kind:bone", "uptake:low")
REQUEST = SentenceRequest(CODES, ("site", "suvmax"), fallback="secret of the patient")
GOLD = "{site}: faint uptake ({suvmax}), no CT correlate, newly visible since the prior examination, indeterminate."


@pytest.fixture
def server():
    """A server that says ``answers`` in turn and keeps what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._say({"data": [{"id": "local-model"}]})

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            http.asked.append(asked)
            said = http.answers[min(len(http.asked), len(http.answers)) - 1]
            self._say(said if isinstance(said, dict) else {"choices": [{"message": {"content": said}}]})

        def _say(self, content):
            body = json.dumps(content).encode()
            self.send_response(302 if content == {"elsewhere": True} else 200)
            self.send_header("Location", "http://192.0.2.1/v1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    http.asked, http.answers = [], [GOLD]
    http.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield http
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_right_sentence_is_handed_on_and_nothing_but_codes_is_told(server):
    writer = EndpointWriter(Endpoint(server.url))
    assert writer.model_name == "local-model"
    assert writer.write([REQUEST]) == [GOLD]
    told = json.dumps(server.asked)
    assert "class: indeterminate" in told
    assert "secret" not in told
    assert (server.asked[0]["temperature"], server.asked[0]["seed"]) == (0.0, 0)


def test_the_second_attempt_asks_with_another_seed(server):
    EndpointWriter(Endpoint(server.url)).write([REQUEST], attempt=1)
    assert server.asked[0]["seed"] == 1
    assert server.asked[0]["temperature"] > 0


@pytest.mark.parametrize(
    "answer",
    [
        GOLD.replace("faint", "intense"),
        GOLD.replace("({suvmax})", "(SUVmax 4.1)"),
        GOLD.replace("{site}", "{site} on the left"),
        "I cannot help with that.",
        "",
        {"choices": []},
        {"error": "overloaded"},
        {"elsewhere": True},
    ],
)
def test_anything_else_is_left_to_the_template(server, answer):
    server.answers = [answer]
    assert EndpointWriter(Endpoint(server.url)).write([REQUEST]) == [None]


def test_with_a_style_only_its_wordings_are_taken(server):
    terse = style("terse", "en")
    assert EndpointWriter(Endpoint(server.url), terse).write([REQUEST]) == [None]
    server.answers = ["{site}: low uptake, {suvmax}, no CT correlate, new since prior; indeterminate."]
    assert EndpointWriter(Endpoint(server.url), terse).write([REQUEST]) == server.answers


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.org/v1", "is another machine"),
        ("http://10.0.0.7:8080/v1", "is another machine"),
        ("http://localhost.example.org/v1", "is another machine"),
        ("ftp://127.0.0.1/v1", "is no address"),
        ("http:///v1", "is no address"),
        ("http://127.0.0.1:9/v1", "offers no language model"),
    ],
)
def test_only_this_machine_is_asked_and_only_where_somebody_answers(url, problem):
    with pytest.raises(InputError, match=problem):
        EndpointWriter(Endpoint(url, timeout_s=2.0))
