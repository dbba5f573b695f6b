"""Which backend words a report, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedpsma.errors import InputError
from reporting.drafting import WriterOrigin
from reporting.llm import store
from reporting.sentences import Language, SentenceWriter
from reporting.template_writer import TemplateWriter

WriterName = Literal["auto", "template", "llm"]


@dataclass(frozen=True)
class Backend:
    """A writer, the model behind it, and one line that says why this one."""

    writer: SentenceWriter
    origin: WriterOrigin
    why: str


def choose_backend(wanted: WriterName, language: Language) -> Backend:
    """Return the backend to use; "auto" takes the language model where it is ready, else the templates.

    Raises:
        InputError: The language model is asked for by name but is not ready.
    """
    if wanted == "template":
        return _templates("asked for")
    if language != "en":
        why = "the language model words English only"
        if wanted == "llm":
            raise InputError(why, where="--writer llm", remedy="use --writer template for this language")
        return _templates(why)
    try:
        return _language_model()
    except InputError as error:
        if wanted == "llm":
            raise
        return _templates(str(error))


def _templates(why: str) -> Backend:
    return Backend(TemplateWriter(), WriterOrigin(), f"template sentences ({why})")


def _language_model() -> Backend:
    folder = store.require_model()
    adapter = store.require_adapter()
    # torch and transformers load here only, because most drafts need neither.
    from reporting.llm.writer import LanguageModelWriter

    writer = LanguageModelWriter.load(folder, adapter)
    return Backend(writer, WriterOrigin(model=writer.model_name, adapter=writer.adapter_name), writer.name)
