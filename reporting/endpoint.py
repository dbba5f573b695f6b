"""A language model behind an OpenAI-compatible endpoint, such as those of llama.cpp, Ollama or vLLM.

It hears codes and placeholders only, as every model here; what it says is checked like the embedded model's wording.
A key for it comes from the environment or a private file, never from the command line, and is shown nowhere.
"""

from __future__ import annotations

import ipaddress
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedpsma.errors import InputError
from fedpsma.io.files import read_text, require_file
from reporting.llm.prompts import taught_messages
from reporting.sentences import SentenceRequest
from reporting.wording.compose import is_of_style
from reporting.wording.facts import broken_facts
from reporting.wording.phrasing import Phrasing
from reporting.wording.vocabulary import split_codes

KEY_VARIABLE = "FEDPSMA_ENDPOINT_KEY"
_LONGEST_ANSWER = 1_000_000
_AT_ONCE = 4


@dataclass(frozen=True)
class Endpoint:
    """Where to ask: the base address ("http://127.0.0.1:8080/v1"), how long to wait, and whether it may be far away.

    Only this machine is asked unless ``remote`` says otherwise, because a hospital's codes are its own business.
    ``key`` is sent as the bearer of each request.
    """

    url: str
    remote: bool = False
    timeout_s: float = 60.0
    max_tokens: int = 160
    key: str | None = field(default=None, repr=False)


def read_key(path: Path | None) -> str | None:
    """Return the key of an endpoint: that of a file which only its owner can read, else ``FEDPSMA_ENDPOINT_KEY``.

    Raises:
        InputError: The file is missing, can be read by others, or the key is no single word.
    """
    where, key = f"the variable {KEY_VARIABLE}", os.environ.get(KEY_VARIABLE)
    if path is not None:
        require_file(path)
        if path.stat().st_mode & 0o077:
            raise InputError("can be read by others", where=str(path), remedy=f"run chmod 600 {path}")
        where, key = str(path), read_text(path).strip()
    # The key itself must not stand in the message.
    if key is not None and not (key.isascii() and key.isprintable() and len(key.split()) == 1):
        raise InputError("holds no key", where=where, remedy="give the key as one line without blanks")
    return key


class EndpointWriter:
    """Words requests by asking an endpoint, and hands on only what says the codes and nothing against them.

    Raises:
        InputError: The address is not one of this machine, nobody answers there, or no model is offered.
    """

    def __init__(self, endpoint: Endpoint, phrasing: Phrasing | None = None) -> None:
        _require_allowed(endpoint)
        self._endpoint = endpoint
        self._phrasing = phrasing
        # A proxy would carry the request to another machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _StayHere())
        self.model_name = self._first_model()
        self.name = f"{self.model_name} at {urllib.parse.urlsplit(endpoint.url).netloc}"

    def write(self, requests: Sequence[SentenceRequest], *, attempt: int = 0) -> list[str | None]:
        """Return one sentence template a request, ``None`` where the answer is missing, late or says anything else."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda request: self._worded(request, attempt), requests))

    def _worded(self, request: SentenceRequest, attempt: int) -> str | None:
        values = split_codes(request.codes)
        if values is None:
            return None
        try:
            text = self._said(request, attempt)
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            return None
        if self._phrasing is not None:
            return text if is_of_style(text, request, self._phrasing) else None
        return None if broken_facts(values, request.placeholders, text, request.language) else text

    def _said(self, request: SentenceRequest, attempt: int) -> str:
        answer = self._asked(
            "/chat/completions",
            {
                "model": self.model_name,
                "messages": taught_messages(
                    request.codes, request.placeholders, request.language, phrasing=self._phrasing
                ),
                "temperature": 0.0 if attempt == 0 else 0.8,
                "seed": attempt,
                "max_tokens": self._endpoint.max_tokens,
            },
        )
        lines = str(answer["choices"][0]["message"]["content"]).strip().splitlines()
        return lines[-1].strip().strip('"') if lines else ""

    def _first_model(self) -> str:
        try:
            return str(self._asked("/models")["data"][0]["id"])
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise InputError(
                f"offers no language model ({reason})",
                where=self._endpoint.url,
                remedy=_remedy(error),
            ) from error

    def _asked(self, path: str, content: dict[str, Any] | None = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        headers = {"Content-Type": "application/json"}
        if self._endpoint.key is not None:
            headers["Authorization"] = f"Bearer {self._endpoint.key}"
        request = urllib.request.Request(self._endpoint.url.rstrip("/") + path, data=data, headers=headers)
        with self._opener.open(request, timeout=self._endpoint.timeout_s) as answer:
            return json.loads(answer.read(_LONGEST_ANSWER))


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: it could lead to another machine."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse."""


def _remedy(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError) and error.code in (401, 403):
        return f"set {KEY_VARIABLE}, or name a file that holds the key with --key-file"
    return "start the server, and give the address that ends in /v1"


def _require_allowed(endpoint: Endpoint) -> None:
    address = urllib.parse.urlsplit(endpoint.url)
    if address.username is not None or address.password is not None:
        remedy = f"set {KEY_VARIABLE}, or name a file that holds the key with --key-file"
        raise InputError("must not hold a login", where=f"the address of {address.hostname}", remedy=remedy)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise InputError("is no address", where=endpoint.url, remedy="give one such as http://127.0.0.1:8080/v1")
    if endpoint.key is not None and address.scheme == "http" and not _is_loopback(address.hostname):
        raise InputError("would send the key unencrypted", where=endpoint.url, remedy="give an https address")
    if not endpoint.remote and not _is_loopback(address.hostname):
        raise InputError(
            "is another machine, and only this one is asked",
            where=endpoint.url,
            remedy="run the model here, or say --remote if your site allows it",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
