"""A language model behind an OpenAI-compatible endpoint, such as those of llama.cpp, Ollama or vLLM.

It hears codes and placeholders only, as every model here; what it says is checked like the embedded model's wording.
"""

from __future__ import annotations

import ipaddress
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fedpsma.errors import InputError
from reporting.llm.prompts import taught_messages
from reporting.sentences import SentenceRequest
from reporting.wording.compose import is_of_style
from reporting.wording.facts import broken_facts
from reporting.wording.phrasing import Phrasing
from reporting.wording.vocabulary import split_codes

_LONGEST_ANSWER = 1_000_000
_AT_ONCE = 4


@dataclass(frozen=True)
class Endpoint:
    """Where to ask: the base address ("http://127.0.0.1:8080/v1"), how long to wait, and whether it may be far away.

    Only this machine is asked unless ``remote`` says otherwise, because a hospital's codes are its own business.
    """

    url: str
    remote: bool = False
    timeout_s: float = 60.0
    max_tokens: int = 160


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
                remedy="start the server, and give the address that ends in /v1",
            ) from error

    def _asked(self, path: str, content: dict[str, Any] | None = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(
            self._endpoint.url.rstrip("/") + path, data=data, headers={"Content-Type": "application/json"}
        )
        with self._opener.open(request, timeout=self._endpoint.timeout_s) as answer:
            return json.loads(answer.read(_LONGEST_ANSWER))


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: it could lead to another machine."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse."""


def _require_allowed(endpoint: Endpoint) -> None:
    address = urllib.parse.urlsplit(endpoint.url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise InputError("is no address", where=endpoint.url, remedy="give one such as http://127.0.0.1:8080/v1")
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
