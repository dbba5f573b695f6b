"""A language model behind a real server on loopback: heard, checked, and never trusted."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from fedpsma.errors import InputError
from reporting.endpoint import KEY_VARIABLE, Endpoint, EndpointWriter, read_key
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
            if http.key is not None and self.headers["Authorization"] != f"Bearer {http.key}":
                self.send_error(401)
                return
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
    http.asked, http.answers, http.key = [], [GOLD], None
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


@pytest.mark.parametrize("by_file", [True, False])
def test_a_server_that_wants_a_key_gets_it_from_a_private_file_or_the_environment(
    server, tmp_path, monkeypatch, by_file
):
    server.key = "sk-very-secret"
    with pytest.raises(InputError, match="--key-file"):
        EndpointWriter(Endpoint(server.url))
    path = tmp_path / "key"
    path.write_text("sk-very-secret\n")
    path.chmod(0o600)
    monkeypatch.setenv(KEY_VARIABLE, "another" if by_file else "sk-very-secret")
    endpoint = Endpoint(server.url, key=read_key(path if by_file else None))
    writer = EndpointWriter(endpoint)
    assert writer.write([REQUEST]) == [GOLD]
    assert "secret" not in f"{endpoint!r} {writer.name}"


def test_a_key_that_others_can_read_or_that_is_none_is_refused_and_not_shown(tmp_path, monkeypatch):
    path = tmp_path / "key"
    path.write_text("sk-very-secret")
    path.chmod(0o644)
    with pytest.raises(InputError, match="can be read by others"):
        read_key(path)
    path.chmod(0o600)
    path.write_text("sk-very secret")
    with pytest.raises(InputError, match="holds no key") as caught:
        read_key(path)
    assert "secret" not in str(caught.value)
    monkeypatch.setenv(KEY_VARIABLE, "")
    with pytest.raises(InputError, match=KEY_VARIABLE):
        read_key(None)


def test_a_key_is_never_sent_in_the_clear_nor_written_into_the_address():
    with pytest.raises(InputError, match="unencrypted"):
        EndpointWriter(Endpoint("http://192.0.2.1/v1", remote=True, key="sk"))
    with pytest.raises(InputError, match="login") as caught:
        EndpointWriter(Endpoint("http://me:secret@127.0.0.1/v1"))
    assert "secret" not in str(caught.value)
