"""Which open policy decides a result of this exam, and what its other way would give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace

from fedpsma.domain.assessment import Difference, PolicyEffect, TraceEntry
from fedpsma.staging.changes import Comparison, compare
from fedpsma.staging.core import Core, Reading
from fedpsma.staging.counting import counts
from fedpsma.staging.expression import score_lesion
from fedpsma.staging.facts import read_lesion
from fedpsma.staging.mitnm import stage_units, unit_of
from fedpsma.staging.options import TITLES, StagingOptions, alternatives
from fedpsma.staging.psma_rads import propose
from fedpsma.staging.rulebook import Noted, traced

_STAGE_ONLY = frozenset({"count_sides", "diffuse_marrow", "pattern_beside_dmi", "change_percent"})
_NAMES = {
    "stage": "",
    "psma_rads": "PSMA-RADS of {lesion} ",
    "expression": "expression score of {lesion} ",
    "change": "change of {lesion} ",
}
_DEFAULTS = {one.name: one.default for one in fields(StagingOptions)}


def policy_effects(reading: Reading, core: Core, comparison: Comparison | None) -> Noted[list[PolicyEffect]]:
    """Take each policy the other way and keep those that would give another result."""
    effects = []
    for name, options in alternatives(reading.options):
        other = replace(reading, options=options)
        if name.startswith("node_short_axis"):
            other = replace(other, facts=[read_lesion(one, options).value for one in reading.exam.lesions])
        then, compared = _taken_otherwise(name, other, core, comparison)
        differences = list(_differences(core, comparison, then, compared))
        if differences:
            value = getattr(reading.options, name)
            effects.append(
                PolicyEffect(
                    policy=name,
                    title=TITLES[name],
                    value=value,
                    other=getattr(options, name),
                    by_reader=value != _DEFAULTS[name],
                    differences=differences,
                )
            )
    return Noted(effects, tuple(_entry(one) for one in effects))


def _taken_otherwise(
    name: str, other: Reading, core: Core, comparison: Comparison | None
) -> tuple[Core, Comparison | None]:
    """Work out again what a policy can change; a trace of it is not kept."""
    scores, categories, counted = core.scores, core.categories, core.counted
    if name == "promise":
        scores = {
            one.lesion_id: score_lesion(one, core.references, other.options.promise) for one in other.exam.lesions
        }
    if name in ("promise", "change_percent") and other.timeline is not None:
        comparison = compare(other.timeline, scores, other.options).value
    if name not in _STAGE_ONLY:
        around = other.surroundings(core.treated)
        categories = {one.lesion_id: propose(one, scores[one.lesion_id], around).category for one in other.facts}
        counted = tuple(one for one in other.facts if counts(one, categories[one.lesion_id]))
    units = Counter(unit_of(one) for one in counted)
    staged = stage_units(units, other.exam.clinical.prostate_status, other.options)
    return replace(core, scores=scores, categories=categories, counted=counted, stage=staged), comparison


def _differences(
    core: Core, comparison: Comparison | None, then: Core, compared: Comparison | None
) -> Iterator[Difference]:
    if core.stage.meaning != then.stage.meaning:
        yield Difference(what="stage", as_is=core.stage.text, otherwise=then.stage.text)
    for lesion, category in core.categories.items():
        if then.categories[lesion] != category:
            as_is, otherwise = category or "open", then.categories[lesion] or "open"
            yield Difference(what="psma_rads", lesion=lesion, as_is=as_is, otherwise=otherwise)
    for lesion, score in core.scores.items():
        if then.scores[lesion] != score:
            yield Difference(what="expression", lesion=lesion, as_is=score.text, otherwise=then.scores[lesion].text)
    if comparison is None or compared is None:
        return
    for lesion, label in comparison.labels.items():
        if compared.labels[lesion] != label:
            yield Difference(what="change", lesion=lesion, as_is=label, otherwise=compared.labels[lesion])


def _entry(effect: PolicyEffect) -> TraceEntry:
    otherwise = in_brief(effect, otherwise=True)
    inputs = {"option": effect.policy, "value": effect.value, "other value": effect.other, "otherwise": otherwise}
    return traced("option_effect", inputs, in_brief(effect))


def in_brief(effect: PolicyEffect, *, otherwise: bool = False) -> str:
    """Write the results that a policy decides on one line, as they are or the other way."""
    return ", ".join(
        _NAMES[one.what].format(lesion=one.lesion) + (one.otherwise if otherwise else one.as_is)
        for one in effect.differences
    )
