"""Accounts of this machine for a test, and what stands before a command that is to run as one of them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

VIEW = Path(tempfile.gettempdir()) / f"fedpsma-view-{os.getpid()}"
# In a view of the file system of its own, whoever has to start this Python may walk to it.
_OPENED = 'mount --bind "$2" "$0/$3" && mount --rbind "$0" "$1" && shift 3 && exec "$@"'


@dataclass(frozen=True)
class Account:
    """One account; ``groups`` are those it is in beside its own."""

    name: str
    groups: tuple[int, ...] = ()

    @property
    def entry(self) -> pwd.struct_passwd:
        return pwd.getpwnam(self.name)

    def before(self) -> list[str]:
        """Return what stands before a command."""
        groups = ["--groups", ",".join(map(str, self.groups))] if self.groups else ["--clear-groups"]
        user = ["setpriv", "--reuid", str(self.entry.pw_uid), "--regid", str(self.entry.pw_gid), *groups]
        return [*_view(), *user, "--inh-caps=-all"]

    def can(self, *command: object) -> bool:
        """Return whether a command succeeds as this account."""
        done = subprocess.run([*self.before(), *map(str, command)], capture_output=True, cwd="/")
        return done.returncode == 0


@contextmanager
def accounts(names: Sequence[str]) -> Iterator[None]:
    """Make accounts, and take them away; the test is skipped where that is not allowed."""
    needed = ("useradd", "userdel", "setpriv", "unshare")
    if os.geteuid() != 0 or not all(map(shutil.which, needed)):
        pytest.skip(f"accounts need root and {', '.join(needed)}")
    made = []
    try:
        for name in names:
            done = subprocess.run(["useradd", "--system", "--user-group", name], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"this machine makes no accounts: {done.stderr.strip()}")
            made.append(name)
        yield
    finally:
        for name in made:
            subprocess.run(["userdel", name], capture_output=True)
        if VIEW.exists():
            for folder in (*VIEW.iterdir(), VIEW):
                folder.rmdir()


def _closed() -> Path | None:
    """Return the folder above this Python that is closed to other accounts, if there is one."""
    python = Path(sys.base_prefix).resolve()
    return next((one for one in reversed(python.parents) if not one.stat().st_mode & 0o001), None)


def _view() -> list[str]:
    closed = _closed()
    if closed is None:
        return []
    inside = Path(sys.base_prefix).resolve().relative_to(closed).parts[0]
    (VIEW / inside).mkdir(parents=True, exist_ok=True)
    VIEW.chmod(0o755)
    return ["unshare", "--mount", "sh", "-c", _OPENED, str(VIEW), str(closed), str(closed / inside), inside]
