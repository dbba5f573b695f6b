"""Decides on every message of the coordinator: is it signed, does the policy allow it, what may leave, and signs that.

Whatever goes wrong becomes a code; what happened is written to the site's own log and stays there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from client.envelope import CODE, NOTE, POST, QUERY, TRAIN, UNAPPROVED, Envelope, about
from client.policy import SitePolicy, read_policy
from client.refusal import RefusalError
from client.site import Site, answer_envelope, code_of, note
from client.steward.carrier import CarrierDesk
from client.steward.code_desk import CodeDesk
from client.steward.events import SiteLog
from client.steward.home import SiteHome
from client.steward.kept import KeptReport
from client.steward.orders import OrderDesk
from client.steward.release import require_releasable
from client.steward.voice import Voice, is_report, refusal_in
from client.steward.watch import Check, Stops, watched
from fedpsma.contract import IDENTIFY, REPORT, STAGES, RoundOrder, SiteReport
from fedpsma.training.interruption import stoppable

LOOK_S = 0.5


def local_now() -> datetime:
    """Return the time on the clock of the site, with its zone."""
    return datetime.now().astimezone()


@dataclass
class Steward:
    """Answers for one site; several threads may ask at once, one trains at a time.

    Args:
        home: The folder of the site.
        clock: The local time, for the hours of the policy.
        carrier: Answers the account that runs Flower, where it is another one.
    """

    home: SiteHome
    clock: Callable[[], datetime] = local_now
    carrier: CarrierDesk | None = None
    stops: Stops = field(default_factory=Stops)
    _training: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._site = self.home.request().site
        self._voice = Voice.of(self.home)
        self._log = SiteLog(self.home.events_path)
        self._desk = OrderDesk.of(self.home)
        self._kept = KeptReport(self.home.kept_path)

    def answer(self, asked: Envelope, gone: Check = lambda: False) -> Envelope:
        """Return the signed answer to a message.

        Args:
            asked: The message.
            gone: Whether whoever asked has gone away; then the round ends, for its result could not leave.
        """
        run, number = about(asked)
        try:
            return self._answered(asked, gone)
        except Exception as error:
            note(self.home.folder, error)
            reason = code_of(error)
            # On a full disk the coordinator hears of it all the same.
            with suppress(OSError):
                self._log.append("refused", run=run, round=number, reason=reason)
            return self._voice.refusal(asked, run, number, reason)

    def _answered(self, asked: Envelope, gone: Check) -> Envelope:
        if asked.kind == f"{QUERY}{IDENTIFY}":
            return self._voice.name(asked, known=self._desk.asks(asked))
        if asked.kind == TRAIN:
            return self._train(asked, gone)
        if asked.kind.removeprefix(QUERY) in STAGES:
            return self._stage(asked)
        if asked.kind == CODE:
            return CodeDesk(self.home).looked_at(asked)
        if asked.kind.startswith(UNAPPROVED):
            return CodeDesk(self.home).refusal(asked)
        if self.carrier is not None and asked.kind in (POST, NOTE):
            return self.carrier.post(asked) if asked.kind == POST else self.carrier.note(asked)
        raise RefusalError("protocol_violated")

    def _stage(self, asked: Envelope) -> Envelope:
        run, number = self._desk.stage(asked)
        self._require_open()
        reply = answer_envelope(self._place(), asked)
        return self._released(asked, reply, run, number)

    def _train(self, asked: Envelope, gone: Check) -> Envelope:
        self._require_open()
        with self._training:
            order = self._desk.training(asked)
            kept = self._kept.answer_to(order, asked) if self._policy().allows(order.plan) else None
            if kept is not None:
                self._log.append("released_again", run=order.run, round=order.round)
                return kept
            self._kept.forget()
            started = time.monotonic()
            self._log.append("round_started", run=order.run, round=order.round)
            with self.stops.running(order.run) as stop, watched(stop, (gone, self._is_closed), LOOK_S), stoppable(stop):
                reply = answer_envelope(self._place(), asked)
            reply = self._released(asked, reply, order.run, order.round, time.monotonic() - started)
            self._keep(order, asked, reply)
            return reply

    def _keep(self, order: RoundOrder, asked: Envelope, reply: Envelope) -> None:
        try:
            self._kept.keep(order, asked, reply)
        except OSError as error:
            # It was paid for and can leave now; only a second time it could not.
            note(self.home.folder, error)

    def _released(
        self, asked: Envelope, reply: Envelope, run: str, number: int, seconds: float | None = None
    ) -> Envelope:
        require_releasable(asked, reply)
        refused = refusal_in(reply)
        if refused is not None:
            self._log.append("refused", run=run, round=number, reason=refused.reason)
            return self._voice.refusal(asked, run, number, refused.reason, refused.senders)
        if is_report(reply):
            report = SiteReport.model_validate_json(reply.text(REPORT))
            spent = {"epsilon": report.epsilon, "seconds": round(seconds or 0.0, 1)}
            self._log.append("round_released", run=run, round=number, **spent)
        else:
            self._log.append("stage_answered", run=run, round=number)
        return self._voice.signed(reply, run, number)

    def _require_open(self) -> None:
        """Refuse while the site is paused or has left, and at hours that its policy does not allow."""
        if self.home.paused is not None or not self.home.joined:
            raise RefusalError("paused")
        if not self._policy().is_open(self.clock()):
            raise RefusalError("outside_hours")

    def _is_closed(self) -> bool:
        return self.home.paused == "now" or not self.home.joined

    def _place(self) -> Site:
        dataset = self._policy().dataset
        if dataset is None:
            raise RefusalError("plan_not_allowed")
        return Site(self._site, Path(dataset), self.home.folder)

    def _policy(self) -> SitePolicy:
        try:
            return read_policy(self.home.folder)
        except (OSError, ValueError) as error:
            raise RefusalError("plan_not_allowed") from error
