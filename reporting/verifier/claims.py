"""Whether a statement about lesions is true of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from fedpsma.domain.exam import Lesion
from fedpsma.domain.region import Region
from reporting.verifier.lexicon import lexicon
from reporting.verifier.view import INDETERMINATE, View

Claim = Callable[[View, Sequence[Lesion]], bool]


def _rads(*categories: str) -> Claim:
    return lambda view, lesions: all(view.rads(lesion) in categories for lesion in lesions)


def _score(*scores: int | None) -> Claim:
    return lambda view, lesions: all(view.assessment.expression.get(one.lesion_id) in scores for one in lesions)


def _change(label: str) -> Claim:
    return lambda view, lesions: all(view.change(lesion) == label for lesion in lesions)


def _ct_class(name: str) -> Claim:
    return lambda view, lesions: all(view.ct_class(lesion) == name for lesion in lesions)


def _no_correlate(view: View, lesions: Sequence[Lesion]) -> bool:
    return all(view.ct_class(one) == "none" or _denies(one.ct_correlate or "") for one in lesions)


def _denies(text: str) -> bool:
    return re.search(r"\b(?:no|not|without|kein\w*|ohne|nicht)\b|unremarkable|unauff", text, re.IGNORECASE) is not None


def affirms(text: str, pattern: str) -> bool:
    """Whether a text states something without negating it in the same clause, as far as a plain reader can tell."""
    negation = lexicon("en").pattern("source_negation")
    for clause in re.split(r"[.;\n]", text):
        for match in re.finditer(pattern, clause, re.IGNORECASE):
            before = clause[: match.start()]
            negated = negation.search(before)
            if negated is None or ("," in before[negated.end() :] and not _closes_a_list(clause, match.start())):
                return True
    return False


def _closes_a_list(clause: str, start: int) -> bool:
    return re.search(r"\b(?:or|nor|oder|und|and)\b", clause[max(0, start - 4) :], re.IGNORECASE) is not None


def _sarcoid(view: View, lesions: Sequence[Lesion]) -> bool:
    history = " ".join(view.exam.clinical.prior_therapy or [])
    return (
        re.search("sar[ck]oid", history, re.IGNORECASE) is not None
        and all(one.region is Region.LN_MEDIASTINAL_HILAR for one in lesions)
        and {"L", "R"} <= {one.side for one in lesions}
    )


def _raised(*scores: int) -> Claim:
    """Return the claim of raised uptake: a grade of the present, beside a prior a rise as well."""
    risen = _change("increased")
    return lambda view, lesions: _score(*scores)(view, lesions) and (view.exam.prior is None or risen(view, lesions))


def _solitary(view: View, lesions: Sequence[Lesion]) -> bool:
    """Whether a lesion is the only one of disease in its kind of site."""
    kinds = [_kind(one) for one in (*view.counted, *view.indeterminate)]
    return len(lesions) == 1 and kinds.count(_kind(lesions[0])) <= 1


def _kind(lesion: Lesion) -> str:
    return "bone" if lesion.region.is_bone else str(lesion.region.facts.mitnm_axis)


CLAIMS: dict[str, Claim] = {
    "sarcoid": _sarcoid,
    "rlt_caution": _rads("3D"),
    "not_counted": lambda view, lesions: not any(one in view.counted for one in lesions),
    "counted": lambda view, lesions: all(one in view.counted for one in lesions),
    "ct_none": _no_correlate,
    "ct_nonspecific": _ct_class("nonspecific"),
    "ct_degenerative": _ct_class("degenerative"),
    "ct_benign": _ct_class("benign"),
    "ct_suspicious": _ct_class("suspicious"),
    "treated": _rads("5T"),
    "uptake_none": _score(0),
    "uptake_low": _score(1),
    "uptake_intermediate": _score(2),
    "uptake_intense": _score(2, 3),
    "uptake_raised": _raised(1, 2, 3),
    "uptake_raised_much": _raised(2, 3),
    "solitary": _solitary,
    "score_undetermined": _score(None),
    "uptake_undetermined": _score(None),
    "change_not_comparable": _change("persistent_not_comparable"),
    "change_resolved": _change("resolved"),
    "change_uncertain": lambda view, lesions: all(
        view.change(one) in ("match_uncertain", "not_applicable") for one in lesions
    ),
    "change_new": _change("new"),
    "change_increased": _change("increased"),
    "change_decreased": _change("decreased"),
    "change_stable": _change("stable"),
    "other_tumour": _rads("3C"),
    "psma_negative": _rads("3D"),
    "four_or_five": lambda view, lesions: all(one in view.counted for one in lesions),
    "suspicious": _rads("4"),
    "one_or_two": _rads("1", "2"),
    "likely_benign": lambda view, lesions: (
        _rads("2")(view, lesions) or (_sarcoid(view, lesions) and _rads("1", "2")(view, lesions))
    ),
    "benign": _rads("1"),
    "indeterminate": _rads(*INDETERMINATE),
    "malignant": _rads("5"),
}
