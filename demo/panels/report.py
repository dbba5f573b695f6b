"""The report by section: every sentence with its lesions, where it comes from, and what can be done with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from html import escape

from demo.panels.parts import chip, deed, problem, with_chips
from demo.reading.composing import READER, ShownSentence
from demo.reading.history import Reading
from demo.reading.result import Result
from reporting.phrases import phrases

_NOTES = {
    "accepted": "accepted",
    "changed": "changed since you accepted it",
    "yours": "yours",
    "regenerated": "regenerated",
    "struck": "left out",
}
_ORIGINS = {"llm": "worded by the language model", "template": "worded by rule", READER: "worded by the reader"}


def sections(reading: Reading, result: Result, fresh: Collection[str]) -> dict[str, str]:
    """Return the sections by name.

    Args:
        reading: The reading.
        result: What follows from it.
        fresh: Keys of the sentences that the last edit changed.
    """
    if result.draft is None:
        return {"problem": f'<div data-piece="problem">{problem(result.problem)}</div>'}
    names = dict.fromkeys([*(one.name for one in result.draft.sections), *(one.section for one in result.sentences)])
    return {name: _section(name, reading, result, fresh) for name in names}


def _section(name: str, reading: Reading, result: Result, fresh: Collection[str]) -> str:
    words = phrases(reading.state.exam.language)
    heading = words.word("heading", name) if words.has("heading", name) else name.replace("_", " ")
    ids = set(reading.state.lesion_ids)
    here = [one for one in result.sentences if one.section == name]
    body = "".join(_sentence(one, ids, fresh=one.key in fresh, locked=reading.is_signed) for one in here)
    add = ""
    if not reading.is_signed:
        add = (
            f'<button type="button" class="fp-add" data-add="{escape(name)}" data-focus="add/{escape(name)}" '
            f'aria-label="Add a sentence to {escape(heading)}">+ sentence</button>'
        )
    return (
        f'<section class="fp-section" data-piece="{escape(name)}" aria-label="{escape(heading)}">'
        f"<h3>{escape(heading)}{add}</h3>{body}</section>"
    )


def _sentence(one: ShownSentence, ids: Collection[str], *, fresh: bool, locked: bool) -> str:
    named = with_chips(one.text, ids)
    unnamed = [cite for cite in one.cites if cite in ids and f">{escape(cite)}</button>" not in named]
    chips = "".join(map(chip, unnamed[:12]))
    tools = "" if locked else f'<span class="fp-tools" role="group" aria-label="This sentence">{_tools(one)}</span>'
    kinds = " ".join(filter(None, (f"fp-is-{one.marker}" if one.marker else "", "fp-fresh" if fresh else "")))
    return (
        f'<div class="fp-sentence {kinds}" data-key="{escape(one.key)}" title="{_ORIGINS[one.origin]}">'
        f'<p class="fp-text" data-text="{escape(one.text)}">{named} {chips}</p>{_note(one, fresh)}{tools}</div>'
    )


def _note(one: ShownSentence, fresh: bool) -> str:
    if one.marker == "conflict":
        return _conflict(one, f"The facts changed below your wording. The draft now says: “{one.drafted}”")
    if one.marker == "orphan":
        return _conflict(one, "The facts changed: the draft has no such sentence any more. Your wording was kept.")
    note = _NOTES.get(one.marker, "updated" if fresh else "")
    return f'<span class="fp-note">{note}</span>' if note else ""


def _conflict(one: ShownSentence, told: str) -> str:
    buttons = deed("Keep mine", _marked(one, "edited", text=one.text), focus=f"{one.key}/keep") if one.drafted else ""
    label = "Take the draft" if one.drafted else "Remove mine"
    buttons += deed(label, {"kind": "revert", "key": one.key}, focus=f"{one.key}/take")
    return f'<div class="fp-conflict" role="note"><span>{escape(told)}</span><span>{buttons}</span></div>'


def _tools(one: ShownSentence) -> str:
    own = one.key.startswith("own-")
    tools = [
        f'<button type="button" class="fp-tool" data-edit="{escape(one.key)}" data-focus="{escape(one.key)}/edit" '
        'aria-label="Edit this sentence" title="Edit (e)">✎</button>'
    ]
    if not own and one.marker not in ("accepted", "yours", "orphan"):
        tools.insert(0, _tool(one, "✓", "Accept this sentence", _marked(one, "accepted")))
    if not own and one.marker != "orphan":
        tools.append(_tool(one, "↻", "Regenerate this sentence", _marked(one, "regenerated")))
    if one.marker:
        label = "Remove this sentence" if own else "Revert to the draft"
        tools.append(_tool(one, "⟲", label, {"kind": "revert", "key": one.key}))
    if not own and one.marker not in ("struck", "orphan"):
        tools.append(_tool(one, "✕", "Leave this sentence out", _marked(one, "struck")))
    return "".join(tools)


def _tool(one: ShownSentence, sign: str, label: str, action: Mapping[str, str]) -> str:
    return deed(sign, action, kind="fp-tool", title=label, focus=f"{one.key}/{label}")


def _marked(one: ShownSentence, deed_: str, text: str = "") -> dict[str, str]:
    return {"kind": "sentence", "key": one.key, "deed": deed_, "text": text}
