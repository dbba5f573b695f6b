"""The systemd unit of a site."""

from __future__ import annotations

from client.payment import ledger_of
from client.policy import problem_of, read_policy
from client.steward.home import SiteHome
from fedpsma.errors import InputError
from fedpsma.joining.service import SystemdUnit

ACCOUNT = "fedpsma"


def unit_of(home: SiteHome) -> str:
    """Return what starts this site with its machine, as an account that can write its folder and its ledger alone.

    Raises:
        InputError: This is no site, or its policy is wrong.
    """
    home.request()
    state = home.folder.resolve()
    try:
        policy = read_policy(state)
    except (OSError, ValueError) as error:
        raise InputError(problem_of(error), where=str(state / "site.toml"), remedy="correct it there") from error
    if policy.dataset is None:
        raise InputError("names no data set", where=str(state / "site.toml"), remedy='add dataset = "FOLDER"')
    # Beside the ledger lies its lock, and a new file is made in a folder.
    ledger = ledger_of(policy, state, policy.dataset).path.parent
    arguments = ("site", "run", "--state", str(state))
    return SystemdUnit("fedpsma site", arguments, dict.fromkeys((state, ledger.resolve())), ACCOUNT).text()
