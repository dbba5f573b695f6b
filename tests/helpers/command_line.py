"""The real command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_fedpsma(
    *arguments: object, cwd: Path | None = None, timeout: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``fedpsma`` with these arguments; the caller looks at the exit code."""
    return subprocess.run(
        [sys.executable, "-c", "from fedpsma.cli import main; main()", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
