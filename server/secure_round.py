"""One round of secure aggregation over the link to the nodes: keys, shares, masked updates, agreement, unmasking.

A site that fails a stage is left out from there on, with a code; the round stands as long as two thirds of those that
sent their keys stay to the end, and never fewer than three or than the plan needs.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from fedpsma.contract import MASKED, RoundOrder, Stage
from fedpsma.model.checkpoint import Weights
from fedpsma.secure_aggregation.identity import KeyBook, KeyNotTrustedError
from fedpsma.secure_aggregation.messages import Advert, Agreement, Dealing, Invitation, Revealed, Session
from server.replies import QuarantineReason, Reply
from server.unmasking import BrokenSecretError, FalseShareError, MaskedSum

Arrays = Mapping[str, NDArray[Any]]
Answer = TypeVar("Answer", Advert, Dealing, Agreement, Revealed)
Enough = Callable[[], bool]
"""Whether the sites that have answered are enough to go on with, once the deadline has passed."""
# One site alone may lie about another.
ACCUSERS = 2


class Desk(Protocol):
    """The seam to the round loop: sends messages, takes replies, notes what is wrong with them, keeps the reports."""

    def ask(self, questions: Mapping[int, str], stage: Stage, enough: Enough) -> Iterator[Reply]:
        """Send each node its message of a stage and yield the answers as they come."""
        ...

    def train(self, mask_orders: Mapping[int, str], enough: Enough) -> Iterator[Reply]:
        """Send each node the order of the round, its mask order beside, and yield the replies as they come."""
        ...

    def accusations(self) -> Mapping[str, Iterable[str]]:
        """Return whose shares each site could not read, of those that refused for it in this attempt."""
        ...

    def set_aside(self, site: str, reason: QuarantineReason) -> None:
        """Note why a site does not count any more."""
        ...

    def accept(
        self, reply: Reply, site: str, expected: Mapping[str, NDArray[Any]]
    ) -> Mapping[str, NDArray[Any]] | None:
        """Return the arrays of a valid reply; ``None`` where it is noted why there are none."""
        ...


@dataclass(frozen=True)
class SecureRound:
    """What a round needs: the sites by node, the order with its weights, the keys of the sites, and the desk."""

    nodes: Mapping[int, str]
    order: RoundOrder
    weights: Weights
    book: KeyBook
    desk: Desk

    def mean(self) -> Arrays:
        """Return the mean update of the sites that stayed, by parameter name, float64.

        Raises:
            ValueError: The plan does not ask for secure aggregation.
            BrokenSecretError: Sites dealt false shares.
            UnmaskingError: Too few are left, or the sum is not one of honest sites.
        """
        secure = self.order.plan.secure_aggregation
        if secure is None:
            raise ValueError("the plan does not ask for secure aggregation")
        session = Session(
            run=self.order.run,
            round=self.order.round,
            token=secrets.token_hex(32),
            sites=tuple(sorted(self.nodes.values())),
            bounds=secure,
        )
        total = MaskedSum.of(session, self._adverts(session), self._size, self.order.plan.min_sites)
        self._deal(total)
        self._train(total)
        self._agree(total)
        self._unmask(total)
        change, _ = total.mean()
        return _by_name(self.weights, change)

    @property
    def _size(self) -> int:
        """Length of the masked vectors: all weights, and how much the site counts."""
        return sum(array.size for array in self.weights.values()) + 1

    def _adverts(self, session: Session) -> dict[str, Advert]:
        invitation = Invitation(session=session, order=self.order).model_dump_json()
        adverts: dict[str, Advert] = {}
        invited = self._ask(
            "advertise",
            {name: invitation for name in session.sites},
            Advert,
            lambda: len(adverts) >= self.order.plan.min_sites,
        )
        for site, advert in invited:
            try:
                self.book.require([advert], session)
            except KeyNotTrustedError:
                self.desk.set_aside(site, "key_not_trusted")
            else:
                adverts[site] = advert
        return adverts

    def _deal(self, total: MaskedSum) -> None:
        rosters = dict.fromkeys(total.roster.names, total.roster.model_dump_json())
        for site, dealing in self._ask("share", rosters, Dealing, lambda: len(total.dealings) >= total.needed):
            try:
                total.deal(dealing)
            except ValueError:
                self.desk.set_aside(site, "malformed_reply")

    def _train(self, total: MaskedSum) -> None:
        orders = {self._node(name): order.model_dump_json() for name, order in total.mask_orders().items()}
        expected = {MASKED: np.broadcast_to(np.uint32(0), (self._size,))}
        late = set(orders)
        for reply in self.desk.train(orders, lambda: len(total.survivors) >= total.needed):
            late.discard(reply.node)
            arrays = self.desk.accept(reply, self.nodes[reply.node], expected)
            if arrays is not None:
                total.add(self.nodes[reply.node], arrays[MASKED])
        self._note_late(late)
        self._require_readable(set(total.dealings))

    def _require_readable(self, dealers: set[str]) -> None:
        """Raise BrokenSecretError where several sites could not read the shares of the same dealers."""
        accused = Counter(
            sender for site, senders in self.desk.accusations().items() for sender in dealers & set(senders) - {site}
        )
        false = sorted(sender for sender, accusers in accused.items() if accusers >= ACCUSERS)
        if false:
            raise BrokenSecretError(*false)

    def _agree(self, total: MaskedSum) -> None:
        lists = dict.fromkeys(total.survivors, total.survivor_list().model_dump_json())
        for site, agreement in self._ask("agree", lists, Agreement, lambda: len(total.signatures) >= total.quorum):
            try:
                total.agree(agreement)
            except KeyNotTrustedError:
                self.desk.set_aside(site, "key_not_trusted")

    def _unmask(self, total: MaskedSum) -> None:
        orders = dict.fromkeys(total.signatures, total.unmask_order().model_dump_json())
        for site, revealed in self._ask("unmask", orders, Revealed, lambda: len(total.revealed) >= total.quorum):
            try:
                total.reveal(revealed)
            except FalseShareError:
                self.desk.set_aside(site, "false_share")

    def _ask(
        self, stage: Stage, texts: Mapping[str, str], kind: type[Answer], enough: Enough
    ) -> Iterator[tuple[str, Answer]]:
        """Ask sites and yield the well-formed answers; whoever gives none is set aside."""
        late = {self._node(name) for name in texts}
        for reply in self.desk.ask({self._node(name): text for name, text in texts.items()}, stage, enough):
            late.discard(reply.node)
            site = self.nodes[reply.node]
            if reply.kind != "answer":
                self.desk.accept(reply, site, {})
                continue
            answer = _parsed(kind, reply.text)
            if answer is None or answer.site != site:
                self.desk.set_aside(site, "malformed_reply")
            else:
                yield site, answer
        self._note_late(late)

    def _note_late(self, nodes: set[int]) -> None:
        for node in sorted(nodes):
            self.desk.set_aside(self.nodes[node], "no_reply")

    def _node(self, site: str) -> int:
        return next(node for node, name in self.nodes.items() if name == site)


def _parsed(kind: type[Answer], text: str) -> Answer | None:
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        return None


def _by_name(weights: Weights, change: NDArray[np.float64]) -> Arrays:
    """Cut a vector into arrays, in the order of the names of the weights."""
    arrays, offset = {}, 0
    for name in sorted(weights):
        arrays[name] = change[offset : offset + weights[name].size].reshape(weights[name].shape)
        offset += weights[name].size
    return arrays
