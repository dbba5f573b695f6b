"""The reference report of a synthetic patient: what a nuclear physician could have dictated, from the truth alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Literal

import numpy as np

from fedpsma.domain.exam import Lesion
from fedpsma.domain.region import Region, Side
from fedpsma.phantom.tables import Row, read_table
from fedpsma.phantom.truth import Change, FocusTruth, LesionChange, PatientTruth

Language = Literal["en", "de"]
Part = Literal["local", "nodes", "bone", "organs"]

_PARTS: tuple[Part, ...] = ("local", "nodes", "bone", "organs")
_PART_OF: dict[str | None, Part] = {"T": "local", "N": "nodes", "M1a": "nodes", "M1b": "bone", "M1c": "organs"}
# So many lesions of one place are told one by one, more in a list.
_ONE_BY_ONE = 3
_URINE_KIND = "ureter"
_TOLD_IN_WEEKS = 14


class Wording(Row):
    """One language of ``report.json``; a sequence of sentences holds forms of which one is drawn."""

    decimal: str
    sides: dict[Side, str]
    avid: dict[Literal["psma", "fdg"], str]
    title: tuple[str, ...]
    headings: dict[str, str]
    indications: dict[str, str]
    indication: tuple[str, ...]
    technique: tuple[str, ...]
    ct_kinds: dict[str, str]
    comparison: tuple[str, ...]
    days: str
    weeks: str
    axes: dict[Part | Literal["benign"], str]
    single: tuple[str, ...]
    several: tuple[str, ...]
    item: str
    size_in_list: str
    node_size: str
    size: str
    enlarged: str
    ct: str
    no_ct: str
    ct_terms: dict[str, str]
    change: dict[Change, str]
    event: dict[Literal["merged", "split"], str]
    gone: tuple[str, ...]
    none: dict[Part, tuple[str, ...]]
    benign: tuple[str, ...]
    benign_item: str
    physiological: tuple[str, ...]
    urine: tuple[str, ...]
    kinds: dict[str, str | None]
    tumour_in: tuple[str, ...]
    places: dict[str, str]
    no_tumour: tuple[str, ...]
    stage: tuple[str, ...]
    response: tuple[str, ...]
    not_comparable: tuple[str, ...]


@cache
def wording(language: Language) -> Wording:
    """Return the sentences of a language."""
    return Wording.model_validate(read_table("report.json")[language])


def site_language(site: str) -> Language:
    """Return the language in which a synthetic site reports."""
    language: Language = read_table("report.json")["site_language"][site]
    return language


def write_report(rng: np.random.Generator, truth: PatientTruth, before: PatientTruth | None, stage: str | None) -> str:
    """Dictate the report of a study in the language of its exam; ``stage`` is the true miTNM string.

    Every lesion that the site's contours see is told with region, side and SUVmax, every benign focus is told as
    benign, and what vanished since ``before`` as gone. There is nothing in it that identifies a person.
    """
    writer = _Writer(rng, wording(truth.exam.language), truth, before)
    heads = writer.words.headings
    sections = [
        (heads["indication"], [writer.indication()]),
        (heads["technique"], [writer.technique()]),
        (heads["comparison"], list(writer.comparison())),
        (heads["impression"], list(writer.impression(stage))),
    ]
    findings = "\n".join(f"{name}: {' '.join(sentences)}" for name, sentences in writer.findings())
    blocks = [f"{name}: {' '.join(sentences)}" for name, sentences in sections if sentences]
    blocks.insert(-1, f"{heads['findings']}:\n{findings}")
    return (
        "\n\n".join([writer.say(writer.words.title, tracer=truth.exam.tracer, modality=truth.modality), *blocks]) + "\n"
    )


@dataclass(frozen=True)
class _Writer:
    """Draws the form of each sentence and fills it."""

    rng: np.random.Generator
    words: Wording
    truth: PatientTruth
    before: PatientTruth | None

    def say(self, forms: Sequence[str], **values: object) -> str:
        text = forms[int(self.rng.integers(len(forms)))].format(**values)
        return text[0].upper() + text[1:]

    def number(self, value: float | None, digits: int = 1) -> str:
        return "?" if value is None else f"{value:.{digits}f}".replace(".", self.words.decimal)

    @property
    def avid(self) -> str:
        tracer = self.truth.exam.tracer
        return self.words.avid["psma" if tracer is not None and tracer.facts.targets_psma else "fdg"]

    def indication(self) -> str:
        exam = self.truth.exam
        told = self.words.indications.get(exam.indication or "", exam.indication or "")
        psa = f"{exam.clinical.psa_ng_ml:g}".replace(".", self.words.decimal)
        return self.say(self.words.indication, indication=told, psa=psa)

    def technique(self) -> str:
        technique = self.truth.exam.technique
        ct = technique.ct or ""
        return self.say(
            self.words.technique,
            tracer=self.truth.exam.tracer,
            activity=f"{technique.activity_mbq:g}",
            minutes=f"{technique.uptake_min:g}",
            ct=self.words.ct_kinds.get(ct, ct),
        )

    def comparison(self) -> Iterator[str]:
        later = self.truth.follow_up
        if later is not None and self.before is not None:
            prior = {"tracer": self.before.exam.tracer, "modality": self.before.modality}
            yield self.say(self.words.comparison, interval=self._interval(later.days), **prior)

    def _interval(self, days: int) -> str:
        return (
            self.words.days.format(count=days)
            if days < _TOLD_IN_WEEKS
            else self.words.weeks.format(count=round(days / 7))
        )

    def findings(self) -> Iterator[tuple[str, list[str]]]:
        for part in _PARTS:
            told = [lesion for lesion in self.truth.exam.lesions if part_of(lesion.region) == part]
            sentences = [*self._told(told), *self._gone(part)]
            yield self.words.axes[part], sentences if told else [*sentences, self.say(self.words.none[part])]
        yield self.words.axes["benign"], [*self._benign(), self.say(self.words.physiological)]

    def impression(self, stage: str | None) -> Iterator[str]:
        places = list(dict.fromkeys(_place(lesion.region) for lesion in self.truth.exam.lesions))
        if places:
            yield self.say(
                self.words.tumour_in, avid=self.avid, places=", ".join(self.words.places[one] for one in places)
            )
        else:
            yield self.say(self.words.no_tumour, avid=self.avid)
        if stage is not None:
            yield self.say(self.words.stage, stage=stage)
        later = self.truth.follow_up
        if later is not None and later.recip is not None:
            before, now = (self.number(value) for value in later.psma_vol_ml)
            yield self.say(self.words.response, before=before, now=now, new=later.new_lesions, recip=later.recip)
        elif later is not None and later.other_tracer:
            yield self.say(self.words.not_comparable, new=later.new_lesions)

    def _told(self, lesions: Sequence[Lesion]) -> Iterator[str]:
        ordered = sorted(lesions, key=lambda one: (list(Region).index(one.region), one.side or ""))
        for (region, side), group in groupby(ordered, key=lambda one: (one.region, one.side)):
            together = sorted(group, key=lambda one: -(one.suvmax or 0))
            where = self._where(region, side)
            if len(together) <= _ONE_BY_ONE:
                yield from (self._single(one, where) for one in together)
            else:
                items = "; ".join(self._item(one) for one in together)
                yield self.say(self.words.several, where=where, count=len(together), avid=self.avid, items=items)

    def _single(self, lesion: Lesion, where: str) -> str:
        return self.say(
            self.words.single,
            avid=self.avid,
            where=where,
            suv=self.number(lesion.suvmax),
            size=self._size(lesion),
            ct=self._ct(lesion),
            change=self._changed(lesion),
        )

    def _item(self, lesion: Lesion) -> str:
        size = "" if lesion.size_mm is None else self.words.size_in_list.format(size=f"{lesion.size_mm:g}")
        return self.words.item.format(suv=self.number(lesion.suvmax), size=size, change=self._changed(lesion))

    def _where(self, region: Region, side: Side | None) -> str:
        name = region.facts.name_de if self.words is wording("de") else region.facts.name_en
        return name if side is None or "L" not in region.facts.sides else self.words.sides[side].format(name=name)

    def _size(self, lesion: Lesion) -> str:
        if lesion.size_mm is None:
            return ""
        form = self.words.node_size if lesion.region.is_node else self.words.size
        return form.format(size=f"{lesion.size_mm:g}")

    def _ct(self, lesion: Lesion) -> str:
        if lesion.region.is_node:
            return self.words.enlarged if lesion.ct_class == "suspicious" else ""
        if lesion.ct_correlate:
            return self.words.ct.format(correlate=self.words.ct_terms.get(lesion.ct_correlate, lesion.ct_correlate))
        return self.words.no_ct if lesion.ct_class == "none" else ""

    def _changed(self, lesion: Lesion) -> str:
        row = next((one for one in self._changes() if f"L{one.lesion}" == lesion.lesion_id), None)
        if row is None:
            return ""
        if not self._was_seen(row):
            return self.words.change["new"]
        return self.words.event[row.event] if row.event else self.words.change[row.change]

    def _changes(self) -> tuple[LesionChange, ...]:
        return self.truth.follow_up.lesions if self.truth.follow_up else ()

    def _was_seen(self, row: LesionChange) -> bool:
        return any(one.contoured for one in self._earlier() if one.id in row.previous)

    def _earlier(self) -> tuple[FocusTruth, ...]:
        return self.before.lesions if self.before else ()

    def _gone(self, part: Part) -> Iterator[str]:
        """Tell each place where a lesion was seen before and none of it is seen now."""
        seen = {one.id for one in self.truth.lesions if one.contoured}
        left = {number for row in self._changes() if row.lesion in seen for number in row.previous}
        gone = [one for one in self._earlier() if one.contoured and one.id not in left and part_of(one.region) == part]
        places = dict.fromkeys(self._where(one.region, one.side) for one in gone)
        yield from (self.say(self.words.gone, where=where) for where in places)

    def _benign(self) -> Iterator[str]:
        benign = [one for one in self.truth.foci if not one.suspicious]
        named = [one for one in benign if self._kind(one) is not None]
        for kind, group in groupby(sorted(named, key=lambda one: one.kind), key=self._kind):
            items = "; ".join(
                self.words.benign_item.format(where=self._where(one.region, one.side), suv=self.number(one.suvmax))
                for one in group
            )
            yield self.say(self.words.benign, what=kind, items=items)
        if any(one.kind == _URINE_KIND for one in benign):
            yield self.say(self.words.urine)

    def _kind(self, focus: FocusTruth) -> str | None:
        return self.words.kinds[focus.kind]


def part_of(region: Region) -> Part:
    """Return the part of the findings in which a lesion of this region is told.

    Example:
        >>> part_of(Region.LN_OBTURATOR), part_of(Region.BONE_RIB)
        ('nodes', 'bone')
    """
    return _PART_OF.get(region.facts.mitnm_axis, "organs")


def _place(region: Region) -> str:
    part = part_of(region)
    if part != "nodes":
        return part
    return "nodes_pelvic" if region.facts.mitnm_axis == "N" else "nodes_distant"
