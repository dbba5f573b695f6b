"""Whether an order comes from the coordinator that the site joined, is for this site, is new, and is of today."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from client.envelope import TEXT, Envelope
from client.refusal import RefusalError
from client.steward.home import SiteHome
from fedpsma.contract import ORDER, RUN, SECURE, SITE, RoundOrder
from fedpsma.io.files import read_json, write_json
from fedpsma.joining.clocks import LARGEST_SKEW
from fedpsma.joining.records import JoinBundle
from fedpsma.joining.signatures import Statement, arrays_sha256, is_signed

# As long as Flower keeps a message for a site that is away.
OLDEST = timedelta(hours=12)


class _Session(BaseModel):
    """What a message of secure aggregation is about; the stage itself reads the rest."""

    model_config = ConfigDict(frozen=True)

    run: str = Field(pattern=RUN)
    round: int


class _Stage(BaseModel):
    model_config = ConfigDict(frozen=True)

    session: _Session
    order: RoundOrder | None = None


class Answered(BaseModel):
    """The last order of a run that the site took up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    round: int
    issued: AwareDatetime


_Model = TypeVar("_Model", bound=BaseModel)
_BOOK = TypeAdapter(dict[str, Answered])


@dataclass(frozen=True)
class OrderDesk:
    """Reads what the coordinator of one federation signed for one site.

    Args:
        bundle: The federation.
        site: The name of this site.
        path: File that remembers the last order of each run.
    """

    bundle: JoinBundle
    site: str
    path: Path

    @classmethod
    def of(cls, home: SiteHome) -> OrderDesk:
        """Return the desk of the site whose folder this is.

        Raises:
            InputError: It is no site, or has joined nothing.
        """
        return cls(home.bundle(), home.request().site, home.orders_path)

    def asks(self, asked: Envelope) -> bool:
        """Return whether the coordinator asks who this site is."""
        text = asked.records.get(SITE, {}).get(TEXT, "")
        question = Statement("question", self.bundle.federation, "", 0, "", text)
        return is_signed(question, asked.signature(SITE), self.bundle.coordinator_key)

    def training(self, asked: Envelope) -> RoundOrder:
        """Return a new order and remember it, so that it is taken up once.

        Raises:
            RefusalError: It is not from the coordinator, not current, or was taken up before.
        """
        order = _parsed(RoundOrder, asked.text(ORDER))
        signed = self._statement("order", order.run, order.round, asked.text(ORDER))
        self._require_signed(signed, asked.signature(ORDER), arrays_sha256(asked.arrays))
        if SECURE in asked.records:
            self._require_stage(asked, order.run, order.round)
        issued = _current(order)
        self._remember(order, issued)
        return order

    def stage(self, asked: Envelope) -> tuple[str, int]:
        """Return run and round that a message of secure aggregation is for.

        Raises:
            RefusalError: It is not from the coordinator, or not current.
        """
        stage = _parsed(_Stage, asked.text(SECURE))
        self._require_stage(asked, stage.session.run, stage.session.round)
        if stage.order is not None:
            _current(stage.order)
        return stage.session.run, stage.session.round

    def _require_stage(self, asked: Envelope, run: str, number: int) -> None:
        signed = self._statement("stage", run, number, asked.text(SECURE))
        self._require_signed(signed, asked.signature(SECURE))

    def _statement(self, kind: Literal["order", "stage"], run: str, number: int, content: str) -> Statement:
        return Statement(kind, self.bundle.federation, run, number, self.site, content)

    def _require_signed(self, statement: Statement, signature: str, weights: str = "") -> None:
        if not is_signed(replace(statement, weights_sha256=weights), signature, self.bundle.coordinator_key):
            raise RefusalError("order_not_signed")

    def _remember(self, order: RoundOrder, issued: datetime) -> None:
        book = self.book()
        last = book.get(order.run)
        # A round may come again after a crash of the coordinator, in an order that was given later.
        if last is not None and (order.round < last.round or issued <= last.issued):
            raise RefusalError("order_repeated")
        book[order.run] = Answered(round=order.round, issued=issued)
        # What is older is refused for its age; so runs without end do not fill the file.
        kept = {run: last for run, last in book.items() if last.issued >= datetime.now(UTC) - 2 * OLDEST}
        write_json(self.path, _BOOK.dump_python(kept, mode="json"))

    def book(self) -> dict[str, Answered]:
        """Return the last order of each run."""
        return _BOOK.validate_python(read_json(self.path)) if self.path.exists() else {}


def _current(order: RoundOrder) -> datetime:
    now = datetime.now(UTC)
    if order.issued is None or not now - OLDEST <= order.issued <= now + LARGEST_SKEW:
        raise RefusalError("order_not_current")
    return order.issued


def _parsed(kind: type[_Model], text: str) -> _Model:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise RefusalError("plan_not_allowed") from error
