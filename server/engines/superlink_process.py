"""The process of a SuperLink: ``python -m server.engines.superlink_process`` takes what ``flower-superlink`` takes."""

from __future__ import annotations

from server.flower import run_superlink

if __name__ == "__main__":
    run_superlink()
