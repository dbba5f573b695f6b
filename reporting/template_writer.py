"""The backend that is always there: it words every request with its deterministic template."""

from __future__ import annotations

from collections.abc import Sequence

from reporting.sentences import SentenceRequest


class TemplateWriter:
    """Returns the fallback of every request."""

    name = "template"

    def write(self, requests: Sequence[SentenceRequest], *, attempt: int = 0) -> list[str | None]:
        """Return the deterministic wording of each request."""
        return [request.fallback for request in requests]
