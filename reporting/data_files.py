"""The data files of this package."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def read_data(name: str) -> Any:
    """Read one JSON file of ``reporting/data`` once; the result is shared, so it must not be changed."""
    return json.loads(resources.files("reporting").joinpath("data", name).read_text("utf-8"))
