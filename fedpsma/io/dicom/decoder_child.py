"""The process that decodes: reads a path a line, answers with a line of JSON and the voxels; ends with its input.

Started by :mod:`fedpsma.io.dicom.decoder` as a script, so it imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from typing import IO

import numpy as np
from pydicom import dcmread

LARGEST_MEMORY = 8 * 2**30


def _limit_memory() -> None:
    """Let a corrupted size fail instead of filling the machine, where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (LARGEST_MEMORY, LARGEST_MEMORY))


def _answer(path: str) -> tuple[dict[str, object], bytes]:
    try:
        pixels = np.ascontiguousarray(dcmread(path, force=True).pixel_array)
    except Exception as error:
        reason = str(error).splitlines()[0][:160] if str(error).strip() else type(error).__name__
        return {"error": reason}, b""
    return {"shape": pixels.shape, "dtype": pixels.dtype.str, "bytes": pixels.nbytes}, pixels.tobytes()


def main(lines: IO[bytes], replies: IO[bytes]) -> None:
    """Answer every line."""
    warnings.simplefilter("ignore")
    _limit_memory()
    for line in lines:
        head, content = _answer(json.loads(line))
        replies.write(json.dumps(head).encode() + b"\n" + content)
        replies.flush()


if __name__ == "__main__":
    # Decoders print to the standard output, which belongs to the replies.
    own = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    main(sys.stdin.buffer, own)
