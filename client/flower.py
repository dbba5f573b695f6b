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
from fedpsma.contract import IDENTIFY, ORDER, REFUSAL, REPORT, SITE, WEIGHTS, RefusalReason, RoundOrder, SiteRefusal

Config = Mapping[str, Any]
Locate = Callable[[Config, Config], Site]
Answer = Callable[[Site, RoundOrder, Weights], Released | SiteRefusal]


def build_app(locate: Locate, answer: Answer) -> ClientApp:
    """Return a Flower ClientApp that answers ``query.identify`` and ``train``.

    Args:
        locate: Finds the site from the configuration of the node and of the run.
        answer: Trains one round at the site or refuses it.
    """
    app = ClientApp()

    def identify(message: Message, context: Context) -> Message:
        try:
            name = locate(context.node_config, context.run_config).name
        except Exception:
            name = ""
        return Message(RecordDict({SITE: ConfigRecord({"name": name})}), reply_to=message)

    def train(message: Message, context: Context) -> Message:
        try:
            site = locate(context.node_config, context.run_config)
            content = _content(answer(site, *_read(message)))
        except ValidationError:
            content = _refusal("plan_not_allowed")
        except Exception:
            content = _refusal("internal_error")
        return Message(content, reply_to=message)

    app.query(IDENTIFY)(identify)
    app.train()(train)
    return app


def _read(message: Message) -> tuple[RoundOrder, Weights]:
    order = RoundOrder.model_validate_json(str(message.content[ORDER]["json"]))
    return order, {name: array.numpy() for name, array in message.content[WEIGHTS].items()}


def _content(answer: Released | SiteRefusal) -> RecordDict:
    if isinstance(answer, SiteRefusal):
        return RecordDict({REFUSAL: ConfigRecord({"json": answer.model_dump_json()})})
    report, trained = answer
    arrays = ArrayRecord({name: Array(trained[name]) for name in sorted(trained)})
    return RecordDict({REPORT: ConfigRecord({"json": report.model_dump_json()}), WEIGHTS: arrays})


def _refusal(reason: RefusalReason) -> RecordDict:
    # Not even its name is known for certain here; the server knows it from the node.
    return _content(SiteRefusal(site="", round=0, reason=reason))
