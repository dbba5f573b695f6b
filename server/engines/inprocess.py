"""The default engine: both apps in this process, one site after the other."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence

from server.flower import (
    CLIENT_APP,
    SERVER_APP,
    Context,
    Grid,
    Message,
    Run,
    context_of,
    error_reply,
    run_id,
    take_identity,
)
from server.run_folder import RunFolder


class InProcessGrid(Grid):  # type: ignore[misc]
    """Runs a ClientApp in this process, one message at a time, when its reply is pulled."""

    def __init__(self, client_app: Callable[[Message, Context], Message], contexts: Mapping[int, Context]) -> None:
        self._client_app = client_app
        self._contexts = contexts
        self._waiting: dict[str, Message] = {}
        self._sent = 0

    def set_run(self, run: Run) -> None:
        """Do nothing: there is one run."""

    @property
    def run(self) -> Run:
        """The one run."""
        return Run.create_empty(run_id())

    def create_message(self, *args: object, **kwargs: object) -> Message:
        """Raise: deprecated in Flower, and nothing here calls it."""
        raise NotImplementedError("make a Message instead")

    def get_node_ids(self) -> list[int]:
        """Return one id a site."""
        return list(self._contexts)

    def push_messages(self, messages: Sequence[Message]) -> list[str]:
        """Keep messages until their replies are wanted."""
        names = []
        for message in messages:
            self._sent += 1
            names.append(str(self._sent))
            message.metadata.__dict__["_message_id"] = names[-1]
            self._waiting[names[-1]] = message
        return names

    def pull_messages(self, message_ids: Sequence[str]) -> list[Message]:
        """Answer the first of these messages; an exception becomes an error reply, as in Flower's own engines."""
        message = self._waiting.pop(next(name for name in message_ids if name in self._waiting))
        try:
            return [self._client_app(message, self._contexts[message.metadata.dst_node_id])]
        except Exception as error:
            return [error_reply(message, str(error))]

    def send_and_receive(self, messages: Sequence[Message], *, timeout: float | None = None) -> list[Message]:
        """Answer all messages."""
        return [reply for name in self.push_messages(messages) for reply in self.pull_messages([name])]


def run_in_process(folder: RunFolder) -> None:
    """Run both apps in this process."""
    take_identity()
    run_config = {"run-folder": str(folder.path.resolve())}
    sites = len(folder.federation().sites)
    contexts = {
        number + 1: context_of(number + 1, {"partition-id": number, "num-partitions": sites}, run_config)
        for number in range(sites)
    }
    # By its name, because the server must not import the client.
    grid = InProcessGrid(pkgutil.resolve_name(CLIENT_APP), contexts)
    pkgutil.resolve_name(SERVER_APP)(grid, context_of(0, {}, run_config))
