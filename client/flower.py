"""Everything the client uses of Flower, so that an upgrade touches one file.

Nothing but coded answers passes this boundary: Flower would send the text of an exception to the server verbatim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from pydantic import ValidationError

from client.site import Released, Site
from client.trainer import Weights
from fedpsma.contract import (
    IDENTIFY,
    ORDER,
    REFUSAL,
    REPORT,
    SECURE,
    SITE,
    STAGES,
    WEIGHTS,
    RefusalReason,
    RoundOrder,
    SiteRefusal,
    Stage,
)

Config = Mapping[str, Any]
Locate = Callable[[Config, Config], Site]
Answer = Callable[[Site, RoundOrder, Weights, str | None], Released | SiteRefusal]
Handler = Callable[[Message, Context], Message]
TakeStage = Callable[[Site, Stage, str], str | SiteRefusal]


def build_app(locate: Locate, answer: Answer, take_stage: TakeStage) -> ClientApp:
    """Return a Flower ClientApp that answers ``query.identify``, ``train`` and the stages of secure aggregation.

    Args:
        locate: Finds the site from the configuration of the node and of the run.
        answer: Trains one round at the site or refuses it; with a text that says how to mask, where there is one.
        take_stage: Answers one stage of secure aggregation, JSON for JSON, or refuses it.
    """
    app = ClientApp()
    app.query(IDENTIFY)(_identify_with(locate))
    app.train()(_train_with(locate, answer))
    for name in STAGES:
        app.query(name)(_stage_with(locate, take_stage, name))
    return app


def _identify_with(locate: Locate) -> Handler:
    def identify(message: Message, context: Context) -> Message:
        try:
            name = locate(context.node_config, context.run_config).name
        except Exception:
            name = ""
        return Message(RecordDict({SITE: ConfigRecord({"name": name})}), reply_to=message)

    return identify


def _train_with(locate: Locate, answer: Answer) -> Handler:
    def train(message: Message, context: Context) -> Message:
        try:
            site = locate(context.node_config, context.run_config)
            content = _content(answer(site, *_read(message), _mask_order(message)))
        except ValidationError:
            content = _refusal("plan_not_allowed")
        except Exception:
            content = _refusal("internal_error")
        return Message(content, reply_to=message)

    return train


def _stage_with(locate: Locate, take_stage: TakeStage, name: Stage) -> Handler:
    def take(message: Message, context: Context) -> Message:
        try:
            site = locate(context.node_config, context.run_config)
            answer = take_stage(site, name, str(message.content[SECURE]["json"]))
        except Exception:
            return Message(_refusal("internal_error"), reply_to=message)
        if isinstance(answer, SiteRefusal):
            return Message(_content(answer), reply_to=message)
        return Message(RecordDict({SECURE: ConfigRecord({"json": answer})}), reply_to=message)

    return take


def _read(message: Message) -> tuple[RoundOrder, Weights]:
    order = RoundOrder.model_validate_json(str(message.content[ORDER]["json"]))
    return order, {name: array.numpy() for name, array in message.content[WEIGHTS].items()}


def _mask_order(message: Message) -> str | None:
    return str(message.content[SECURE]["json"]) if SECURE in message.content else None


def _content(answer: Released | SiteRefusal) -> RecordDict:
    if isinstance(answer, SiteRefusal):
        return RecordDict({REFUSAL: ConfigRecord({"json": answer.model_dump_json()})})
    report, trained = answer
    arrays = ArrayRecord({name: Array(trained[name]) for name in sorted(trained)})
    return RecordDict({REPORT: ConfigRecord({"json": report.model_dump_json()}), WEIGHTS: arrays})


def _refusal(reason: RefusalReason) -> RecordDict:
    # Not even its name is known for certain here; the server knows it from the node.
    return _content(SiteRefusal(site="", round=0, reason=reason))
