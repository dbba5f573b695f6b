"""What has systemd start one side of a federation with its machine, with no more rights than it needs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_UNIT = """\
[Unit]
Description={description}
After=network-online.target
Wants=network-online.target

[Service]
{user}{more}ExecStart={command}
Restart=always
RestartSec=5
KillSignal=SIGTERM
TimeoutStopSec=60
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths={writable}
RestrictAddressFamilies={families}
LockPersonality=yes

[Install]
WantedBy={target}
"""


@dataclass(frozen=True)
class SystemdUnit:
    """A unit: of the machine where a ``user`` is named, otherwise of whoever puts it into their own.

    Args:
        description: What it is.
        arguments: Of the ``fedpsma`` command.
        writable: The only folders that it may write.
        user: The account of the machine that it runs as.
        more: Further lines of the service.
        network: Whether it may speak to other machines.
    """

    description: str
    arguments: Sequence[str]
    writable: Iterable[Path]
    user: str | None = None
    more: Sequence[str] = ()
    network: bool = True

    def text(self) -> str:
        """Return the file.

        Example:
            >>> print(SystemdUnit("a site", ("site", "run"), (Path("/srv/a b"),), "psma").text().splitlines()[6])
            User=psma
        """
        return _UNIT.format(
            description=self.description,
            user="" if self.user is None else f"User={self.user}\n",
            more="".join(f"{line}\n" for line in self.more),
            families="AF_UNIX AF_INET AF_INET6" if self.network else "AF_UNIX",
            command=" ".join(quoted(one) for one in (str(Path(sys.executable).with_name("fedpsma")), *self.arguments)),
            writable=" ".join(quoted(str(path.resolve())) for path in self.writable),
            target="default.target" if self.user is None else "multi-user.target",
        )


def quoted(text: str) -> str:
    """Return a word as systemd reads it; a per cent sign would stand for something else."""
    text = text.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if any(char.isspace() or char in "\"'" for char in text) else text
