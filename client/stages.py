"""The stages of secure aggregation as the site's worker meets them: JSON in, JSON out, refusals with a code.

Loaded only where a plan asks for secure aggregation, because it needs ``cryptography``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from client.masking import Participant, ProtocolError, TooFewSitesError, UnreadableShareError
from client.policy import read_policy
from client.refusal import RefusalError
from fedpsma.contract import MASKED, RoundOrder, Stage
from fedpsma.model.checkpoint import Weights
from fedpsma.secure_aggregation.identity import KEYS_FILE, KeyBook, KeyNotTrustedError
from fedpsma.secure_aggregation.messages import (
    Invitation,
    MaskOrder,
    Roster,
    Session,
    SurvivorList,
    UnmaskOrder,
)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Mask = Callable[[Weights, Weights, float], dict[str, NDArray[Any]]]


def _coded(work: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Turn what a participant objects to into refusals."""

    @wraps(work)
    def coded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return work(*args, **kwargs)
        except TooFewSitesError as error:
            raise RefusalError("too_few_sites") from error
        except KeyNotTrustedError as error:
            raise RefusalError("key_not_trusted") from error
        except UnreadableShareError as error:
            raise RefusalError("share_unreadable", senders=error.senders) from error
        except (ProtocolError, ValidationError) as error:
            raise RefusalError("protocol_violated") from error

    return coded


@_coded
def answer_stage(site: str, state: Path, stage: Stage, text: str, admit: Callable[[RoundOrder], object]) -> str:
    """Answer the server's message of one stage.

    Args:
        site: Name of this site.
        state: Its state folder.
        stage: Which stage.
        text: The message, as JSON.
        admit: Raises where the site would refuse to train an order.

    Raises:
        RefusalError: The site will not go along; what else ``admit`` raises passes through.
    """
    if stage == "advertise":
        invitation = Invitation.model_validate_json(text)
        _require_same(invitation.session, invitation.order)
        admit(invitation.order)
        least = invitation.order.plan.min_sites
        return _participant(site, state, invitation.session).advertise(invitation.session, least).model_dump_json()
    if stage == "share":
        roster = Roster.model_validate_json(text)
        return _participant(site, state, roster.session).share(roster).model_dump_json()
    if stage == "agree":
        listed = SurvivorList.model_validate_json(text)
        return _participant(site, state, listed.session).agree(listed).model_dump_json()
    order = UnmaskOrder.model_validate_json(text)
    return _participant(site, state, order.session).unmask(order).model_dump_json()


@_coded
def mask_of(site: str, state: Path, order: RoundOrder, text: str) -> Mask:
    """Return what masks the update of this round, given old and new weights and how much the site counts.

    Asked again for the same session, this refuses.

    Args:
        site: Name of this site.
        state: Its state folder.
        order: The round.
        text: The mask order, as JSON.

    Raises:
        RefusalError: The order is not one of the protocol at this point.
    """
    mask_order = MaskOrder.model_validate_json(text)
    _require_same(mask_order.session, order)
    sealed = _participant(site, state, mask_order.session).open_session(mask_order)
    return lambda start, trained, weight: {MASKED: sealed.mask(flat_update(start, trained), weight)}


def flat_update(start: Weights, trained: Weights) -> NDArray[np.float64]:
    """Return what training changed, as one vector in the order of the parameters' names.

    Raises:
        ValueError: The trained weights are not those of the same network.
    """
    if {name: array.shape for name, array in start.items()} != {name: array.shape for name, array in trained.items()}:
        raise ValueError("the trained weights are of another network")
    changes = [trained[name].astype(np.float64) - start[name] for name in sorted(start)]
    return np.concatenate([change.ravel() for change in changes])


def _participant(site: str, state: Path, session: Session) -> Participant:
    peers = read_policy(state).peers
    book = KeyBook(state / KEYS_FILE, peers or {}, closed=peers is not None)
    return Participant(site, state, book, session.run)


def _require_same(session: Session, order: RoundOrder) -> None:
    """Refuse a session of another order: the order says what is trained, the session how that is hidden."""
    asked = (order.run, order.round, order.plan.secure_aggregation)
    if asked != (session.run, session.round, session.bounds):
        raise ProtocolError("the session is not that of the order")
