"""What a model is asked: for a tuned one the bare codes, for any other also how to do it, with examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reporting.sentences import Language
from reporting.wording.compose import Drawn, compose
from reporting.wording.phrasing import Phrasing, style
from reporting.wording.vocabulary import split_codes

Chat = list[dict[str, str]]
_TUNED: dict[Language, str] = {
    "en": "Word this PET finding in a sentence.",
    "de": "Word this PET finding in a German sentence.",
}
_TAUGHT: dict[Language, str] = {
    "en": "You word findings of PSMA-PET/CT reports in English. Write exactly one sentence that states every "
    "given fact and nothing else. Use each placeholder in braces exactly once and in the given order; begin with "
    "{site}. Write no digit, no side, no number word and no other placeholder. Answer with the sentence only.",
    "de": "You word findings of PSMA-PET/CT reports in German. Write exactly one German sentence that states every "
    "given fact and nothing else. Use each placeholder in braces exactly once and in the given order; begin with "
    "{site}. Write no digit, no side, no number word and no other placeholder. Answer with the sentence only.",
}
_EXAMPLES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("change:stable", "class:malignant", "ct:suspicious", "kind:bone", "uptake:intense"),
        ("site", "size", "suvmax", "prior_suvmax", "category"),
    ),
    (("change:new", "class:indeterminate", "ct:none", "kind:bone", "uptake:low"), ("site", "suvmax", "category")),
    (("change:none_prior", "class:likely_benign", "ct:benign", "kind:node", "uptake:low"), ("site", "suvmax")),
)


def messages(codes: Sequence[str], placeholders: Sequence[str], language: Language = "en") -> Chat:
    r"""Return the chat that asks a tuned model for one sentence: the codes and the placeholders, nothing else.

    Example:
        >>> messages(("change:none_prior", "class:suspicious"), ("site",))[1]["content"]
        'change: none prior; class: suspicious\n{site}'
    """
    return [{"role": "system", "content": _TUNED[language]}, {"role": "user", "content": _asked(codes, placeholders)}]


def taught_messages(
    codes: Sequence[str], placeholders: Sequence[str], language: Language = "en", *, phrasing: Phrasing | None = None
) -> Chat:
    """Return the chat that asks a model without our adapter: the rules of the sentence, three examples, the codes.

    The examples are in the given style, else in prose.
    """
    chat: Chat = [{"role": "system", "content": _TAUGHT[language]}]
    picker = Drawn(np.random.default_rng(1))
    for shown, slots in _EXAMPLES:
        answer = compose(phrasing or style("prose", language), split_codes(shown) or {}, slots, picker)
        chat += [{"role": "user", "content": _asked(shown, slots)}, {"role": "assistant", "content": answer}]
    return [*chat, {"role": "user", "content": _asked(codes, placeholders)}]


def _asked(codes: Sequence[str], placeholders: Sequence[str]) -> str:
    facts = "; ".join(code.replace(":", ": ").replace("_", " ") for code in sorted(codes))
    return f"{facts}\n{' '.join(f'{{{name}}}' for name in placeholders)}"
