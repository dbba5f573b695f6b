"""Which backend words a report, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fedpsma import __version__
from fedpsma.errors import InputError
from reporting.drafting import WriterOrigin
from reporting.endpoint import Endpoint, EndpointWriter, read_key
from reporting.llm import store
from reporting.llm.remembered import RememberingWriter
from reporting.sentences import Language, SentenceWriter
from reporting.template_writer import TemplateWriter
from reporting.wording.phrasing import Phrasing, style
from reporting.wording.vocabulary import vocabulary_fingerprint

if TYPE_CHECKING:
    from reporting.llm.writer import LanguageModelWriter

WriterName = Literal["auto", "template", "llm"]


@dataclass(frozen=True)
class Backend:
    """A writer, the model behind it, and one line that says why this one."""

    writer: SentenceWriter
    origin: WriterOrigin
    why: str


def choose_backend(
    wanted: str,
    language: Language,
    phrasing: Phrasing | None = None,
    *,
    remote: bool = False,
    key_file: Path | None = None,
) -> Backend:
    """Return the backend to use.

    Args:
        wanted: "auto" takes the embedded language model where it is ready, else the templates; "template"; "llm", the
            embedded model; the folder of an adapter or of any causal language model; or the address of an
            OpenAI-compatible endpoint.
        language: The language of the report.
        phrasing: The style to keep to; without one a model words English freely.
        remote: Let an endpoint be on another machine.
        key_file: The private file with the key of an endpoint; by default its key is that of the environment, if any.

    Raises:
        InputError: What is asked for by name is not ready, or is not there.
    """
    if wanted == "template":
        return _templates("asked for")
    if "://" in wanted:
        writer = EndpointWriter(Endpoint(wanted, remote=remote, key=read_key(key_file)), phrasing)
        return Backend(writer, WriterOrigin(model=writer.name), f"language model {writer.name}")
    if wanted not in ("auto", "llm"):
        return _language_model(store.model_choice(Path(wanted)), language, phrasing)
    try:
        return _language_model(store.embedded_choice(), language, phrasing)
    except InputError as error:
        if wanted == "llm":
            raise
        return _templates(str(error))


def _templates(why: str) -> Backend:
    return Backend(TemplateWriter(), WriterOrigin(), f"template sentences ({why})")


def _language_model(choice: store.ModelChoice, language: Language, phrasing: Phrasing | None) -> Backend:
    store.require_packages()
    store.require_intact(choice)
    name = f"language model {choice.model.name}"
    origin = WriterOrigin(model=choice.model.name, adapter=choice.adapter_hash)
    writer = RememberingWriter(
        store.cache_folder(), _identity(choice, language, phrasing), name, lambda: _loaded(choice, phrasing)
    )
    chosen = language != "en" or phrasing is not None
    return Backend(writer, origin, f"{name}, {'choosing among the wordings of the style' if chosen else 'in English'}")


def _loaded(choice: store.ModelChoice, phrasing: Phrasing | None) -> LanguageModelWriter:
    # torch and transformers load here only, because most drafts need neither.
    from reporting.llm.writer import LanguageModelWriter, WriterConfig

    config = replace(WriterConfig(), phrasing=phrasing, tuned=choice.adapter is not None)
    return LanguageModelWriter.load(choice.model, choice.adapter, config=config)


def _identity(choice: store.ModelChoice, language: Language, phrasing: Phrasing | None) -> tuple[str, ...]:
    words = (phrasing or style("prose", language)).fingerprint()
    limits = (vocabulary_fingerprint(language), words, str(phrasing is None))
    return (__version__, choice.model_state(), choice.adapter_hash or "", *limits)
