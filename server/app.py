"""The Flower ServerApp of a run: ``server.app:app``."""

from __future__ import annotations

from server.flower import build_app
from server.rounds import run_rounds

app = build_app(run_rounds)
