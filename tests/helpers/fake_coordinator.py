"""A coordinator that signs what it says, and a site that joined it, without Flower between them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray
from tiny_trainer import make_sites

from client.envelope import NAME, TEXT, Envelope
from client.ledger import Ledger
from client.steward.home import SiteHome
from client.steward.joining import make_site
from fedpsma.contract import ORDER, REFUSAL, REPORT, SECURE, SITE, RoundOrder, SiteRefusal, TrainingPlan
from fedpsma.joining.records import JoinBundle
from fedpsma.joining.signatures import SIGNATURE, Statement, arrays_sha256, is_signed, sign

WEIGHTS = {"layer": np.ones((3, 4), np.float32), "bias": np.ones(4, np.float32), "frozen": np.ones(5, np.float32)}
GENEROUS = 'epsilon_budget = 99.0\ntrainer = "tiny_trainer"\n'
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Coordinator:
    """Signs orders and checks answers like the real one."""

    federation: str = "prostate"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def bundle(self, address: str = "127.0.0.1:1", ca: str = "none", app: str = "ab" * 32) -> JoinBundle:
        public = self.key.public_key().public_bytes_raw().hex()
        return JoinBundle(
            federation=self.federation, address=address, ca_certificate=ca, coordinator_key=public, app_sha256=app
        )

    def order(
        self, site: str, number: int = 1, run: str = "r", age: timedelta = timedelta(0), **plan: object
    ) -> Envelope:
        asked = RoundOrder(
            run=run, round=number, plan=TrainingPlan.model_validate(plan), issued=datetime.now(UTC) - age
        )
        return self.signed_order(site, asked)

    def signed_order(self, site: str, order: RoundOrder, weights: Arrays = WEIGHTS) -> Envelope:
        text = order.model_dump_json()
        statement = Statement("order", self.federation, order.run, order.round, site, text, arrays_sha256(weights))
        return Envelope("train", {ORDER: {TEXT: text, SIGNATURE: sign(statement, self.key)}}, weights)

    def with_mask_order(self, order: Envelope, site: str, text: str) -> Envelope:
        asked = RoundOrder.model_validate_json(order.text(ORDER))
        statement = Statement("stage", self.federation, asked.run, asked.round, site, text)
        beside = {SECURE: {TEXT: text, SIGNATURE: sign(statement, self.key)}}
        return replace(order, records={**order.records, **beside})

    def stage(self, site: str, name: str, text: str, run: str, number: int) -> Envelope:
        signature = sign(Statement("stage", self.federation, run, number, site, text), self.key)
        return Envelope(f"query.{name}", {SECURE: {TEXT: text, SIGNATURE: signature}})

    def question(self) -> Envelope:
        text = f'{{"token": "{secrets.token_hex(16)}"}}'
        signature = sign(Statement("question", self.federation, "", 0, "", text), self.key)
        return Envelope("query.identify", {SITE: {TEXT: text, SIGNATURE: signature}})

    def believes(self, reply: Envelope, site: str, key: str, run: str = "r", number: int = 1) -> bool:
        """Return whether a reply is signed by the site for this round."""
        (record,) = reply.records
        kind = "report" if record in (REPORT, REFUSAL) else "answer"
        weights = arrays_sha256(reply.arrays) if reply.arrays else ""
        statement = Statement(kind, self.federation, run, number, site, reply.text(record), weights)  # type: ignore[arg-type]
        return is_signed(statement, reply.signature(record), key)


def joined_site(folder: Path, coordinator: Coordinator, policy: str = GENEROUS, name: str = "north") -> SiteHome:
    """Make a site of twelve patients that joined, without asking anybody."""
    (dataset,) = make_sites(folder, [name])
    home = SiteHome(folder / "state")
    make_site(home, dataset, name)
    set_policy(home, policy, dataset)
    coordinator.bundle().write(home.bundle_path)
    return home


def set_policy(home: SiteHome, policy: str, dataset: Path | None = None) -> None:
    """Write another policy; the data set stays."""
    place = dataset or next(home.folder.parent.glob("data_*"))
    (home.folder / "site.toml").write_text(f'dataset = "{place}"\n{policy}', "utf-8")


def charges(home: SiteHome) -> int:
    """Return how many rounds the patients of a site were charged."""
    return len(Ledger(next(home.folder.parent.glob("data_*")) / "ledger.jsonl").charged())


def refusal_of(reply: Envelope) -> str:
    """Return the code of a refusal."""
    assert set(reply.records) == {REFUSAL}, reply.records
    assert not reply.arrays
    return SiteRefusal.model_validate_json(reply.text(REFUSAL)).reason


__all__ = ["NAME", "Coordinator", "charges", "joined_site", "refusal_of", "set_policy"]
