"""The building blocks taken from MONAI, loaded without the optional packages that MONAI tries when it is imported.

Importing any block makes MONAI import all of its modules, and those look for packages that nothing here uses: two
thirds of the time until a command, a site or a test starts. MONAI is made to do without them, so it is told that they
are missing while it loads; afterwards everybody can import them as before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OPTIONAL = ("transformers", "matplotlib", "pandas", "skimage", "sklearn", "ignite", "tensorboard", "tensorboardX")


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Have the import of these packages fail, unless they are loaded already."""
    hidden = [name for name in names if name not in sys.modules]
    # This is how Python is told that a module cannot be imported.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


with _without(_OPTIONAL):
    from monai.networks.blocks import Convolution as Convolution
    from monai.networks.blocks import ResidualUnit as ResidualUnit
    from monai.networks.blocks import UpSample as UpSample
