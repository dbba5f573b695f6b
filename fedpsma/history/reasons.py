"""In plain words why a site does not count in a round, for whoever watches the run."""

from __future__ import annotations

REFUSALS = {
    "budget_exceeded": "the round would pass the privacy budget of its patients",
    "delta_too_large": "delta is not below one over its number of patients",
    "data_unreadable": "its data set cannot be read",
    "plan_not_allowed": "its own policy does not allow this plan",
    "ledger_unreadable": "its privacy ledger cannot be read or written, so nothing private runs there",
    "too_few_sites": "too few sites are left to hide its update among them",
    "key_not_trusted": "another site shows a key that is not the one it is known by",
    "protocol_violated": "it was asked for something that secure aggregation does not allow",
    "share_unreadable": "it could not read the share that another site sent it",
    "code_not_approved": "nobody there has approved this version of the application code yet",
    "order_not_signed": "the order is not signed by the coordinator that it joined",
    "order_repeated": "it has answered this order, or a later round, before",
    "order_not_current": "the order is too old or from the future; compare the clocks",
    "outside_hours": "its policy allows training at other hours only",
    "paused": "somebody paused it there",
    "stopped": "its training was stopped",
    "disk_full": "its disk is full",
    "out_of_memory": "the round needs more memory than its machine has, or its policy gives",
    "internal_error": "its training failed; the site's own log says why",
}
QUARANTINES = {
    "no_reply": "it did not answer in time",
    "error_reply": "its app failed",
    "malformed_reply": "its reply is not what was asked for",
    "wrong_site": "its reply names another site",
    "wrong_round": "its reply is for another round",
    "privacy_missing": "its reply does not say what its patients paid",
    "missing_array": "a layer is missing in its weights",
    "extra_array": "its weights have a layer too many",
    "wrong_shape": "a layer of its weights has another shape",
    "wrong_dtype": "its weights are of another type",
    "not_finite": "its weights hold values that are no numbers",
    "too_long": "its update is far longer than those of the others",
    "away": "it was left away in this round, as the simulation asks",
    "unknown_site": "nobody admitted it",
    "duplicate_site": "two nodes give its name",
    "key_not_trusted": "its key is not the one it is known by",
    "false_share": "it gave a false share of a secret",
}

FAILURES = {
    "too_few_sites": "fewer sites than a round needs gave a valid update",
    "not_finite": "the step of its strategy is too long; start another run, with a smaller strategy.learning_rate",
    "stopped": "somebody stopped it",
    "disk_full": "the coordinator's disk is full; make room and start it again",
    "internal_error": "its process failed; the SuperLink's log says why",
}


def plain(reason: str | None) -> str:
    """Return a code with its meaning.

    Example:
        >>> plain("no_reply")
        '(no_reply): it did not answer in time'
    """
    return _with_meaning(reason, {**REFUSALS, **QUARANTINES})


def plain_failure(reason: str | None) -> str:
    """Return the code of a run that ended without a model, with its meaning.

    Example:
        >>> plain_failure("stopped")
        '(stopped): somebody stopped it'
    """
    return _with_meaning(reason, FAILURES)


def _with_meaning(reason: str | None, meanings: dict[str, str]) -> str:
    words = meanings.get(reason or "")
    return f"({reason}): {words}" if words else f"({reason})"
