"""``flower-superlink`` with patience for clocks: a node's calls count while its clock is minutes ahead.

Flower takes what a node signed up to five minutes ago, but nothing from a clock five seconds ahead; hospitals' clocks
are. Uses a constant of Flower that is not public; a contract test names it.
"""

from __future__ import annotations

from flwr.superlink.cli import flower_superlink
from flwr.superlink.routers.fleet import node_auth

from fedpsma.joining.clocks import LARGEST_SKEW


def main() -> None:
    """Be ``flower-superlink``."""
    node_auth.SYSTEM_TIME_TOLERANCE = int(LARGEST_SKEW.total_seconds())
    flower_superlink()


if __name__ == "__main__":
    main()
