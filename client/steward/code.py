"""Which application code may run here: what came, what a person approved, and how the two differ."""

from __future__ import annotations

import difflib
import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, TypeAdapter

from fedpsma.errors import InputError
from fedpsma.io.files import read_json, write_bytes, write_json

_APPROVED = TypeAdapter(dict[str, AwareDatetime])
# The bundle of this project is a tenth of it; a larger one is no app of ours.
LARGEST_BUNDLE = 10 * 2**20
_LARGEST_FILE = 2**20
# Who sends one new bundle after the other fills no disk: of those that wait, the latest are kept.
MOST_WAITING = 8
_SHOWN_DIGITS = 12


@dataclass(frozen=True)
class CodeBook:
    """The folder that keeps every bundle of code that came, and which of them were approved when."""

    folder: Path

    @property
    def _approved_path(self) -> Path:
        return self.folder / "approved.json"

    def approved(self) -> dict[str, datetime]:
        """Return the SHA-256 of approved bundles, and when they were approved, the last one last."""
        if not self._approved_path.exists():
            return {}
        found = _APPROVED.validate_python(read_json(self._approved_path))
        return dict(sorted(found.items(), key=lambda one: one[1]))

    def is_approved(self, sha256: str) -> bool:
        """Return whether a person has approved a bundle."""
        return sha256 in self.approved()

    def has(self, sha256: str) -> bool:
        """Return whether a bundle came before."""
        return self._bundle_path(sha256).exists()

    def keep(self, content: bytes) -> str:
        """Keep a bundle that came, for a person to look at, and return its SHA-256.

        Raises:
            ValueError: It is larger than an app can be.
        """
        if len(content) > LARGEST_BUNDLE:
            raise ValueError("the bundle is too large")
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.has(sha256):
            write_bytes(self._bundle_path(sha256), content)
            for old in self.waiting()[:-MOST_WAITING]:
                self._bundle_path(old).unlink()
        return sha256

    def waiting(self) -> list[str]:
        """Return the bundles that came and wait for a person, the latest last."""
        paths = sorted(self.folder.glob("*.fab"), key=lambda path: path.stat().st_mtime_ns)
        approved = self.approved()
        return [path.stem for path in paths if path.stem not in approved]

    def approve(self, sha256: str) -> None:
        """Let a bundle run from now on."""
        now = datetime.now(UTC)
        write_json(self._approved_path, _APPROVED.dump_python({**self.approved(), sha256: now}, mode="json"))

    def reject(self, sha256: str) -> None:
        """Let a bundle run no more."""
        left = {one: when for one, when in self.approved().items() if one != sha256}
        write_json(self._approved_path, _APPROVED.dump_python(left, mode="json"))

    def find(self, beginning: str) -> str:
        """Return the SHA-256 that begins like this, of a bundle that came or was approved.

        Raises:
            InputError: None does, or several do.
        """
        known = {path.stem for path in self.folder.glob("*.fab")} | set(self.approved())
        found = [one for one in sorted(known) if one.startswith(beginning.lower())]
        if len(found) != 1:
            what = "is no bundle that came" if not found else "is the beginning of several"
            raise InputError(what, where=beginning, remedy="take one from: fedpsma site code")
        return found[0]

    def files(self, sha256: str) -> dict[str, str]:
        """Return the text files of a bundle that came; none where only its hash is known."""
        return unpacked(self._bundle_path(sha256).read_bytes()) if self.has(sha256) else {}

    def difference(self, sha256: str, installed: Mapping[str, str]) -> str:
        """Return how a bundle differs from the last one approved that came, else from what is installed here."""
        before = [one for one in self.approved() if one != sha256 and self.has(one)]
        old = self.files(before[-1]) if before else installed
        return difference(old, self.files(sha256))

    def _bundle_path(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.fab"


def unpacked(bundle: bytes) -> dict[str, str]:
    """Return the text of the files in a bundle by their path, without the list of hashes that Flower adds.

    Raises:
        ValueError: It is no bundle, or a file in it is too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            members = [one for one in archive.infolist() if not one.filename.startswith(".info/")]
            if any(one.file_size > _LARGEST_FILE for one in members):
                raise ValueError("a file in the bundle is too large")
            return {one.filename: archive.read(one).decode("utf-8", "replace") for one in members}
    except zipfile.BadZipFile as error:
        raise ValueError("the bundle is no archive") from error


def difference(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    r"""Return the unified difference of two sets of files, empty where they are the same.

    Example:
        >>> print(difference({"a.py": "x = 1\n"}, {"a.py": "x = 2\n"}))
        --- approved/a.py
        +++ new/a.py
        @@ -1 +1 @@
        -x = 1
        +x = 2
    """
    lines: list[str] = []
    for name in sorted({*old, *new}):
        before, after = old.get(name, "").splitlines(), new.get(name, "").splitlines()
        lines += difflib.unified_diff(before, after, f"approved/{name}", f"new/{name}", lineterm="")
    return "\n".join(lines)


def installed_files(names: Mapping[str, str]) -> dict[str, str]:
    """Return what is installed here under the names of a bundle's Python files."""
    import client

    root = Path(str(client.__file__)).resolve().parents[1]
    # The names are a stranger's: none may lead out of the installation.
    inside = [name for name in names if name.endswith(".py") and ".." not in Path(name).parts]
    places = {name: root / name for name in inside if not Path(name).is_absolute()}
    return {name: place.read_text("utf-8") for name, place in places.items() if place.is_file()}


def short(sha256: str) -> str:
    """Return the beginning of a hash, enough to tell bundles apart.

    Example:
        >>> short("0123456789abcdef")
        '0123456789ab'
    """
    return sha256[:_SHOWN_DIGITS]
