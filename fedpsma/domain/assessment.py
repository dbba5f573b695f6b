"""What the rules make of an exam: the contract of ``assessment.json``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PsmaRads = Literal["1", "2", "3A", "3B", "3C", "3D", "4", "5", "5T"]
EPsma = Literal[1, 2, 3, 4, 5]
Expression = Literal[0, 1, 2, 3]
Recip = Literal["CR", "PR", "SD", "PD"]
Change = Literal[
    "new",
    "increased",
    "decreased",
    "stable",
    "resolved",
    "persistent_not_comparable",
    "match_uncertain",
    "not_applicable",
]
FlagCode = Literal[
    "missing_value",
    "missing_reference",
    "data_error",
    "model_rule_conflict",
    "label_override_suggested",
    "no_measurable_lesion",
    "score_borderline",
    "tumour_sink",
    "psma_negative_lesion",
    "reference_organ_involved",
    "prior_laterality_conflict",
    "untrusted_instruction",
    "phi_detected",
    "tracer_change",
    "match_uncertain",
    "response_discordance",
    "urinary_activity",
    "artefact",
    "primary_not_applicable",
    "model_uncertain",
    "framework_not_applicable",
    "recip_not_applicable",
]
ElementName = Literal[
    "uptake_level",
    "ct_correlate",
    "site_prior",
    "tracer_effect",
    "multiplicity",
    "clinical_context",
    "comparison",
    "alternative_diagnosis",
    "impact",
    "recommendation",
]


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MiTnm(_Result):
    """PROMISE molecular imaging TNM; every M category present is listed."""

    T: str
    N: str
    N_regions: list[str] = []
    M: list[str]
    M1a_regions: list[str] = []
    M1b_pattern: list[str] = []
    M1c_organs: list[str] = []


class Indeterminate(_Result):
    """A lesion that is neither positive nor negative, and why."""

    lesion: str
    psma_rads: PsmaRads
    elements: dict[ElementName, str]
    follow_up: str


class RecipInputs(_Result):
    """What RECIP 1.0 was computed from; volumes in ml, the change in percent.

    ``new_lesions`` is null where the prior names no lesions to compare with.
    """

    baseline_ml: float
    current_ml: float
    delta_pct: float | None
    new_lesions: bool | None


class Flag(_Result):
    """Something the reader has to know or decide."""

    code: FlagCode
    lesions: list[str] = []
    message: str


class Difference(_Result):
    """One result as it is, and as it would be with a policy taken the other way; ``lesion`` is null for the exam."""

    what: Literal["stage", "psma_rads", "expression", "change"]
    lesion: str | None = None
    as_is: str
    otherwise: str


class PolicyEffect(_Result):
    """A policy that the sources leave open and that decides a result of this exam.

    ``policy`` is its name in the staging options, ``value`` what it is set to, ``other`` the other way, ``title`` the
    same in plain words; ``by_reader`` tells that the value is not the project's default.
    """

    policy: str
    title: str
    value: bool | float | str | None
    other: bool | float | str | None
    by_reader: bool
    differences: list[Difference]


class TraceEntry(_Result):
    """One decision: the rule by name and in words, where it comes from, what went in and what came out."""

    rule: str
    says: str
    source: str
    inputs: dict[str, Any]
    result: Any


class Assessment(_Result):
    """Stage, scores, response and open questions of one exam, each with its trace.

    ``mitnm`` and ``mitnm_string`` are null where the frameworks do not apply (another kind of tracer).
    ``expression_bounds`` holds the possible range of a score that a missing or impossible value leaves undetermined.
    ``mitnm_app_string`` writes the same stage in the style of the PROMISE application, with its scores.
    ``mitnm_possible`` lists, the given one first, the stages that a missing or impossible value leaves possible; it is
    empty where the stage is certain. ``policy_effects`` are the open policies that decide something here.
    ``ppp`` says which criteria of PSMA PET progression the images meet, never the class; ``radioligand_facts`` state
    uptake and size for the discussion of a radioligand therapy, never eligibility.
    """

    mitnm: MiTnm | None
    mitnm_string: str | None
    mitnm_app_string: str | None = None
    mitnm_possible: list[str] = []
    psma_rads: dict[str, PsmaRads | None] = {}
    psma_rads_overall: PsmaRads | None = None
    e_psma: dict[str, EPsma | None] = {}
    expression: dict[str, Expression | None] = {}
    expression_bounds: dict[str, tuple[Expression, Expression]] = {}
    expression_highest: Expression | None = None
    expression_lowest: Expression | None = None
    expression_reference: Literal["liver", "spleen"] | None = None
    primary_score: int | Literal["reader_confirm"] | None = None
    indeterminate: list[Indeterminate] = []
    recip: Recip | None = None
    recip_inputs: RecipInputs | None = None
    ppp: list[str] = []
    prior_change: dict[str, Change] = {}
    radioligand_facts: list[str] = []
    policy_effects: list[PolicyEffect] = []
    flags: list[Flag] = []
    trace: list[TraceEntry] = Field(default_factory=list)
