"""The refusal of a site, as an exception until it leaves as a code."""

from __future__ import annotations

from fedpsma.contract import RefusalReason


class RefusalError(Exception):
    """The site will not train; carries the code that may leave, and a detail that stays in the site's own log.

    With the code may leave the names of the sites that sent what it is about.
    """

    def __init__(self, reason: RefusalReason, detail: str = "", senders: tuple[str, ...] = ()) -> None:
        super().__init__(reason, detail)
        self.reason: RefusalReason = reason
        self.senders = senders
