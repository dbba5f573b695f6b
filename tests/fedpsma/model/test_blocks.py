"""What is hidden from MONAI while it loads can be imported afterwards, and what was loaded before stays."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
{before}
import fedpsma.model.network
early = sorted(set(sys.modules) & {{"transformers", "pandas", "sklearn"}})
import pandas
assert pandas.DataFrame({{"a": [1]}}).shape == (1, 1)
assert not [name for name, module in sys.modules.items() if module is None and name in {{"transformers", "skimage"}}]
print(early)
"""


def _loaded(before: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(before=before)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_network_loads_without_packages_it_does_not_use() -> None:
    assert _loaded("") == "[]"


def test_what_was_loaded_before_stays() -> None:
    assert _loaded("import pandas") == "['pandas']"
