"""What ``fedpsma doctor`` says about the language model."""

from __future__ import annotations

from collections.abc import Iterator

from fedpsma.errors import InputError
from fedpsma.health import CheckResult
from reporting.llm import store

NAME = "language model"


def check_language_model() -> Iterator[CheckResult]:
    """Look for the packages, the model and the adapter; without them, drafts use the template sentences."""
    try:
        model, adapter = store.require_model(), store.require_adapter()
    except InputError as error:
        detail = f"{error.where} {error.what}; reports use template sentences"
        yield CheckResult(NAME, "absent", detail, error.remedy.removeprefix("run: "))
    else:
        yield CheckResult(NAME, "passed", f"{store.embedded_model().name} in {model}, adapter in {adapter}")
