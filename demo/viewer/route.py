"""The way of the volumes into the browser: one route, open only to who holds the random name of an opened study.

Routes beside Gradio are not covered by its ``auth=``, so that this one asks for the login itself.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import APIRouter, Depends, HTTPException, Response

from demo.viewer.studies import prepared_study, study_state
from demo.viewer.volumes import Prepared, meta_bytes, pack_labels
from fedpsma.domain.study import LabelVolume, Study

PREFIX = "/fp-volumes"
_TOKEN_BYTES = 16
# A few megabytes each; who opens more at once sees the oldest of them closed.
_MOST_OPEN = 64
_HEADERS = {"Content-Encoding": "gzip", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Login = Callable[..., str | None]
"""A FastAPI dependency that names the user, ``None`` where no login is asked for, and raises HTTP 401 for strangers."""


@dataclass
class _Opened:
    prepared: Prepared
    owner: str | None
    lesions: bytes | None = None
    revision: int = 0


@dataclass
class OpenStudies:
    """Which studies are open in which session; each by a random name of 128 bits that only its session knows."""

    _opened: OrderedDict[str, _Opened] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, folder: Path, owner: str | None = None) -> str:
        """Open an analysed study for one session and return its name.

        Args:
            folder: What ``fedpsma analyze`` wrote.
            owner: The user as the login names him; nobody else gets the volumes even if he learns the name.

        Raises:
            InputError: The folder is no analysis, or a file in it is broken.
        """
        opened, token = _Opened(prepared_study(study_state(folder)), owner), secrets.token_hex(_TOKEN_BYTES)
        with self._lock:
            self._opened[token] = opened
            while len(self._opened) > _MOST_OPEN:
                self._opened.popitem(last=False)
        return token

    def close(self, token: str) -> None:
        """Forget an opened study; closing it twice does nothing."""
        with self._lock:
            self._opened.pop(token, None)

    def set_labels(self, token: str, labels: LabelVolume, study: Study) -> int:
        """Show other lesions (numbered, on the grid of the study) and return the revision for the viewer's value.

        Raises:
            KeyError: No study is open under this name.
        """
        packed = pack_labels(labels, study)
        with self._lock:
            opened = self._opened[token]
            opened.lesions = packed
            opened.revision += 1
            return opened.revision

    def part(self, token: str, name: str, user: str | None) -> bytes:
        """Return a part of an opened study, gzip-compressed.

        Raises:
            KeyError: No such study is open for this user, or it has no such part.
        """
        with self._lock:
            opened = self._opened[token]
            lesions = opened.lesions
        if opened.owner != user:
            raise KeyError(token)
        if name == "lesions" and lesions is not None:
            return lesions
        return meta_bytes(opened.prepared.meta) if name == "meta" else opened.prepared.parts[name]


def nobody() -> None:
    """Stand for the login of a page that asks for none."""


def volume_router(studies: OpenStudies, login: Login = nobody) -> APIRouter:
    """Return the route to the parts of opened studies; what is not there and what is not yours look alike (404).

    Args:
        studies: What is open.
        login: The dependency that the page itself is behind.
    """
    router = APIRouter(prefix=PREFIX)

    @router.get("/{token}/{name}")
    def part(token: str, name: str, user: str | None = Depends(login)) -> Response:
        try:
            content = studies.part(token, name, user)
        except KeyError:
            raise HTTPException(status_code=404, detail="not found") from None
        kind = "application/json" if name == "meta" else "application/octet-stream"
        return Response(content, media_type=kind, headers=_HEADERS)

    return router
