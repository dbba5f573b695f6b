"""The folders that are installed beside the library, for the few files of them that travel in a bundle.

Flower puts a bundle first in the search path, so there the packages ``client`` and ``server`` are the bundle's. What
is not in it is found where the library is installed: no code of the coordinator replaces what a site has installed.
"""

from __future__ import annotations

from pathlib import Path


def installed(package: str) -> str:
    """Return the folder of a package that is installed beside the library.

    Example:
        >>> Path(installed("fedpsma")) == Path(__file__).parent
        True
    """
    return str(Path(__file__).resolve().parents[1] / package)
