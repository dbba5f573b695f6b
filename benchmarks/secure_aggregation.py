"""Secure aggregation against plain averaging of the same updates: error of the sum, bytes up, processor time.

Sites and server run one after the other in this process, each stage as in a federation, without the network and
without training. ``max error`` and ``length`` compare the unmasked sum with a float64 sum, in parts of the norm bound:
the largest error of one coordinate, and the Euclidean length of all errors together. ``uplink`` counts everything a
site sends in a round. ``ratio`` is all processor time against plain, where a site serialises its weights, and the
server reads and averages them.
Run it with ``python benchmarks/secure_aggregation.py``; it takes about two minutes on one core.
"""

from __future__ import annotations

import argparse
import secrets
import tempfile
import time
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from rich.console import Console
from rich.progress import track
from rich.table import Table

from client.masking import Participant
from fedpsma.contract import SecureAggregation
from fedpsma.secure_aggregation.identity import KEYS_FILE, KeyBook
from fedpsma.secure_aggregation.messages import Session, threshold
from server.unmasking import MaskedSum

BOUNDS = SecureAggregation()
NORM = BOUNDS.update_norm


@dataclass
class Cost:
    """Processor seconds at all sites together and at the server, and bytes up from all sites."""

    site_s: float = 0.0
    server_s: float = 0.0
    uplink: int = 0
    _started: float = field(default_factory=time.process_time)

    def start(self) -> None:
        """Book the time since the last booking to nobody."""
        self._since()

    def at_site(self, *sent: BaseModel | NDArray[Any]) -> None:
        """Book the time since the last booking to a site, and what it sends."""
        self.site_s += self._since()
        self.uplink += sum(len(_packed(one)) for one in sent)
        self._since()

    def at_server(self) -> None:
        """Book the time since the last booking to the server."""
        self.server_s += self._since()

    def _since(self) -> float:
        now = time.process_time()
        passed, self._started = now - self._started, now
        return passed


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=int, default=2_300_000)
    parser.add_argument("--sites", type=int, nargs="+", default=[5, 20])
    given = parser.parse_args()
    table = Table(title=f"{given.parameters:,} parameters; seconds secure/plain", box=None)
    for column in ("sites", "dropped", "max error", "length", "uplink", "site s", "server s", "ratio"):
        table.add_column(column, justify="right")
    cases = [(sites, dropped) for sites in given.sites for dropped in (0, sites - max(3, threshold(sites)))]
    for sites, dropped in track(cases, console=Console(stderr=True), transient=True):
        table.add_row(*_measure(sites, dropped, given.parameters))
    Console().print(table)


def _measure(sites: int, dropped: int, parameters: int) -> list[str]:
    names = tuple(f"site-{number:02d}" for number in range(sites))
    stayed = names[dropped:]
    reference, plain = _plain(stayed, parameters)
    with tempfile.TemporaryDirectory() as folder:
        total, hidden = _hidden(Path(folder), names, stayed, parameters)
    error = np.abs(total - reference)
    return [
        str(sites),
        str(dropped),
        f"{error.max() / NORM:.1e}",
        f"{np.linalg.norm(error) / NORM:.1e}",
        f"{(hidden.uplink / plain.uplink):.5f}",
        f"{hidden.site_s / sites:.2f}/{plain.site_s / len(stayed):.2f}",
        f"{hidden.server_s:.2f}/{plain.server_s:.2f}",
        f"{(hidden.site_s + hidden.server_s) / (plain.site_s + plain.server_s):.1f}",
    ]


def _plain(stayed: tuple[str, ...], parameters: int) -> tuple[NDArray[np.float64], Cost]:
    """Return the float64 sum of the updates, and what plain averaging costs."""
    reference = np.zeros(parameters)
    weights = np.zeros(parameters, np.float32)
    mean = np.zeros(parameters)
    cost = Cost()
    for name in stayed:
        update = _update(name, parameters)
        reference += update
        cost.start()
        packed = _packed(weights + update.astype(np.float32))
        cost.at_site()
        cost.uplink += len(packed)
        mean += np.load(BytesIO(packed)).astype(np.float64) / len(stayed)
        cost.at_server()
    return reference, cost


def _hidden(
    folder: Path, names: tuple[str, ...], stayed: tuple[str, ...], parameters: int
) -> tuple[NDArray[np.float64], Cost]:
    """Return the unmasked sum, and what it cost."""
    sites = {name: Participant(name, folder / name, KeyBook(folder / name / KEYS_FILE, {}), "run") for name in names}
    session = Session(run="run", round=1, token=secrets.token_hex(32), sites=names, bounds=BOUNDS)
    cost, adverts = Cost(), {}
    for name, site in sites.items():
        adverts[name] = site.advertise(session)
        cost.at_site(adverts[name])
    total = MaskedSum.of(session, adverts, parameters + 1)
    for site in sites.values():
        dealing = site.share(total.roster)
        cost.at_site(dealing)
        total.deal(dealing)
    orders = total.mask_orders()
    cost.at_server()
    for name in stayed:
        update = _update(name, parameters)
        cost.start()
        masked = sites[name].open_session(orders[name]).mask(update)
        cost.at_site(masked)
        total.add(name, masked)
        cost.at_server()
    survivors = total.survivor_list()
    for name in stayed:
        agreement = sites[name].agree(survivors)
        cost.at_site(agreement)
        total.agree(agreement)
        cost.at_server()
    order = total.unmask_order()
    for name in stayed:
        revealed = sites[name].unmask(order)
        cost.at_site(revealed)
        total.reveal(revealed)
    mean, weight = total.mean()
    cost.at_server()
    return mean * weight, cost


def _update(name: str, parameters: int) -> NDArray[np.float64]:
    """Return an update of almost the norm bound, the same for the same name."""
    vector = np.random.default_rng(list(name.encode())).normal(size=parameters)
    return np.asarray(0.999 * NORM * vector / np.linalg.norm(vector))


def _packed(content: BaseModel | NDArray[Any]) -> bytes:
    """Return the bytes of a message as they travel."""
    if isinstance(content, BaseModel):
        return content.model_dump_json().encode()
    buffer = BytesIO()
    np.save(buffer, content)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
