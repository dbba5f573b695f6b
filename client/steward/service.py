"""The systemd units of a site: one for all of it, or one for the steward and one for the account that runs Flower."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from client.payment import ledger_of
from client.policy import problem_of, read_policy
from client.steward.home import SiteHome
from fedpsma.errors import InputError
from fedpsma.joining.service import SystemdUnit, quoted

Part = Literal["all", "steward", "carrier"]
PARTS: tuple[Part, ...] = ("all", "steward", "carrier")
ACCOUNT, CARRIER = "fedpsma", "fedpsma-flower"
# Where systemd makes folders of a service.
SOCKET = Path("/run") / ACCOUNT / "steward.sock"
CARRIER_FOLDER = Path("/var/lib") / CARRIER


def unit_of(home: SiteHome, part: Part = "all") -> str:
    """Return what starts this site, or a part of it, with its machine.

    ``all`` runs as an account that can write the site's folder and its ledger alone. In two parts the ``steward`` does,
    without any network, and the ``carrier``, which has the network, can read nothing of the site.

    Raises:
        InputError: This is no site, or its policy is wrong.
    """
    home.request()
    state = home.folder.resolve()
    dataset, ledger = _places(state)
    if part == "carrier":
        arguments = ("site", "carry", "--socket", str(SOCKET), "--folder", str(CARRIER_FOLDER))
        hidden = " ".join(f"-{quoted(str(path))}" for path in dict.fromkeys((state, dataset, ledger)))
        more = (f"StateDirectory={CARRIER}", "StateDirectoryMode=0700", f"InaccessiblePaths={hidden}")
        return SystemdUnit("fedpsma site, Flower", arguments, (CARRIER_FOLDER,), CARRIER, more).text()
    writable = dict.fromkeys((state, ledger))
    run = ("site", "run", "--state", str(state))
    if part == "all":
        return SystemdUnit("fedpsma site", run, writable, ACCOUNT).text()
    apart = (*run, "--carried-by", CARRIER, "--socket", str(SOCKET))
    more = (f"SupplementaryGroups={CARRIER}", f"RuntimeDirectory={ACCOUNT}", "RuntimeDirectoryMode=0711")
    return SystemdUnit("fedpsma site, steward", apart, writable, ACCOUNT, more, network=False).text()


def _places(state: Path) -> tuple[Path, Path]:
    """Return the folders of the data set and of the ledger."""
    where = str(state / "site.toml")
    try:
        policy = read_policy(state)
    except (OSError, ValueError) as error:
        raise InputError(problem_of(error), where=where, remedy="correct it there") from error
    if policy.dataset is None:
        raise InputError("names no data set", where=where, remedy='add dataset = "FOLDER"')
    # Beside the ledger lies its lock, and a new file is made in a folder.
    ledger = ledger_of(policy, state, policy.dataset).path.parent
    return policy.dataset.resolve(), ledger.resolve()
