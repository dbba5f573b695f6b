"""What server and client say to each other: the plan that goes out and the report that comes back.

Weights travel beside these records as plain arrays by parameter name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from fedpsma.domain.contour import ContourConvention

TrainingScope = Literal["all", "adaptive"]
ClippingKind = Literal["flat", "per_layer", "adaptive"]
OptimizerKind = Literal["sgd", "adam"]
Schedule = Literal["constant", "cosine"]
KeptAtSite = Literal["nothing", "normalisation", "head"]
RefusalReason = Literal[
    "budget_exceeded",
    "delta_too_large",
    "data_unreadable",
    "plan_not_allowed",
    "ledger_unreadable",
    "too_few_sites",
    "key_not_trusted",
    "protocol_violated",
    "share_unreadable",
    "code_not_approved",
    "order_not_signed",
    "order_repeated",
    "order_not_current",
    "outside_hours",
    "paused",
    "stopped",
    "disk_full",
    "out_of_memory",
    "internal_error",
]
# A run is named in logs, on terminals and in paths of every site, so nothing else may stand in its name.
RUN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
# The records of a message: the server sends an order with weights, the site answers a report with weights or a refusal.
WEIGHTS, ORDER, REPORT, REFUSAL, SITE = "weights", "order", "report", "refusal", "site"
IDENTIFY = "identify"
# Names of the control variates that travel beside the weights; no parameter has a slash in its name.
CONTROL = "control/"
# The stages of secure aggregation before and after training, the record of its messages, and the masked update.
Stage = Literal["advertise", "share", "agree", "unmask"]
STAGES: tuple[Stage, ...] = ("advertise", "share", "agree", "unmask")
SECURE, MASKED = "secure", "masked"
# The work of the accountants grows with epsilon; a larger one promises nothing that anybody could rely on.
MOST_EPSILON = 50
# Below some 1e-13 the accountant's rounding errors are larger than delta: rounds would fail once some were paid.
LEAST_DELTA = 1e-9
# Within these a bound that moves still gives a noise that is finite and above zero.
LEAST_CLIP_NORM, MOST_CLIP_NORM = 1e-6, 1e6
# Of two sites each can take its own update off the mean, and what is left is the other's.
LEAST_HIDDEN_SITES = 3


class SecureAggregation(BaseModel):
    """Let the server learn the mean of the updates only, never the update of one site.

    ``update_norm`` bounds the Euclidean length of what a site changes in a round; a longer update is shortened to it.
    ``largest_change`` bounds what it changes in one weight, and is the range that 32 bits divide: the sum is right to a
    millionth of it in every weight. With ``most_patients`` a site counts by its patients, at most so many, and the
    server learns their sum over the sites; without it all sites count the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    update_norm: float = Field(default=64.0, gt=0, allow_inf_nan=False)
    largest_change: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    most_patients: int | None = Field(default=None, ge=1)

    def weight_of(self, patients: int) -> float:
        """Return how much a site of so many patients counts, at most one.

        Example:
            >>> SecureAggregation(most_patients=40).weight_of(10)
            0.25
        """
        return 1.0 if self.most_patients is None else min(1.0, patients / self.most_patients)


def within_clip_norms(norm: float) -> float:
    """Return the nearest clip norm that a plan may ask for.

    Example:
        >>> within_clip_norms(0.0)
        1e-06
    """
    return min(max(norm, LEAST_CLIP_NORM), MOST_CLIP_NORM)


class TrainingPlan(BaseModel):
    """Everything that decides how every site trains, the same for all of them.

    ``target_epsilon`` is per site over all ``rounds``; ``None`` trains without differential privacy, which a site has
    to allow, and which is more honest than an epsilon above fifty. ``scope`` "adaptive" trains the heads, the tracer
    conditioning and the normalisation only (few parameters, so little noise); "all" trains the whole network. ``seed``
    makes a simulation repeatable; ``None`` draws patients and noise from the operating system, as every real federation
    must. ``secure_aggregation`` hides the updates of single sites from the server; it needs three sites at least.

    A patient shows ``patches_per_patient`` cubes of ``patch_voxels`` an edge, or, in a ``slab_share`` of his turns, one
    slab of so many levels over his whole cross-section. Whole bodies are predicted in slabs, and the normalisation,
    trained on the means of cubes alone, forgets those of slabs.

    ``clipping`` bounds a patient's gradient as a whole ("flat"), layer by layer ("per_layer"), or at a bound that
    moves from ``clip_norm`` towards the ``clip_quantile`` of the patients' gradient lengths, step by step and at each
    site by itself, through all rounds ("adaptive"). The charge of a round is the same for all three.

    ``optimizer`` is what a site makes of its noisy gradients, and ``schedule`` how the learning rate goes over the
    rounds (:mod:`fedpsma.training.descent`); neither changes what the patients pay.

    ``contours`` are the rules by which the sites outline lesions; with any, nothing is learnt from voxels on which they
    disagree.

    ``device`` is what trains; on a GPU a site takes ``gpu_share`` of its memory, so that several sites of a simulation
    can use one at a time.

    ``proximal_mu`` adds ``mu / 2 * |w - w0|^2`` to the local objective (FedProx). ``control_variates`` corrects the
    drift of a site towards its own patients (SCAFFOLD). ``kept_at_site`` names the parameters that each site trains for
    itself and never sends: scale and shift of every normalisation (FedBN), or the voxel head.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: int = Field(default=3, ge=1)
    steps_per_round: int = Field(default=8, ge=1)
    patients_per_step: float = Field(default=6.0, gt=0, allow_inf_nan=False)
    patches_per_patient: int = Field(default=2, ge=1)
    patch_voxels: int = Field(default=48, ge=16, multiple_of=16)
    slab_share: float = Field(default=0.5, ge=0, le=1)
    learning_rate: float = Field(default=0.02, gt=0, allow_inf_nan=False)
    optimizer: OptimizerKind = "sgd"
    schedule: Schedule = "constant"
    clip_norm: float = Field(default=1.0, ge=LEAST_CLIP_NORM, le=MOST_CLIP_NORM, allow_inf_nan=False)
    clipping: ClippingKind = "flat"
    clip_quantile: float = Field(default=0.5, gt=0, lt=1)
    target_epsilon: float | None = Field(default=8.0, gt=0, le=MOST_EPSILON, allow_inf_nan=False)
    delta: float = Field(default=0.01, ge=LEAST_DELTA, lt=1)
    scope: TrainingScope = "adaptive"
    contours: tuple[ContourConvention, ...] = ()
    min_sites: int = Field(default=2, ge=1)
    seed: int | None = Field(default=None, ge=0)
    threads: int = Field(default=1, ge=1)
    device: Literal["cpu", "cuda"] = "cpu"
    gpu_share: float = Field(default=1.0, gt=0, le=1)
    proximal_mu: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    control_variates: bool = False
    kept_at_site: KeptAtSite = "nothing"
    secure_aggregation: SecureAggregation | None = None

    @model_validator(mode="after")
    def _require_what_belongs_together(self) -> Self:
        if self.control_variates and (self.optimizer != "sgd" or self.schedule != "constant"):
            raise ValueError("control variates need plain gradient descent at a constant rate")
        if self.secure_aggregation is not None and self.min_sites < LEAST_HIDDEN_SITES:
            raise ValueError(f"secure aggregation needs min_sites of at least {LEAST_HIDDEN_SITES}")
        return self


class SiteReport(BaseModel):
    """What leaves a site beside the weights: no loss, nothing computed from a patient's data without protection.

    It names no count, but how many patients there are can be inferred from ``noise_multiplier`` and the plan, as a rule
    exactly: their number is not protected by differential privacy here.

    ``epsilon`` is the cumulative privacy loss of the site over all rounds so far, the larger of the RDP and the PRV
    accountant, at ``delta``; ``None`` where the plan asks for no differential privacy. ``seconds`` is only told
    without privacy: how long a round takes grows with the number of patients drawn, which is secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str
    round: int
    epsilon: float | None
    delta: float | None
    noise_multiplier: float | None
    steps: int
    seconds: float | None = None


class SiteRefusal(BaseModel):
    """A site's answer when it will not or cannot train; the reason is a code, never the text of an exception.

    ``senders`` names the sites whose shares it could not read, of those that the server sent it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str
    round: int
    reason: RefusalReason
    senders: tuple[str, ...] = ()


class RoundOrder(BaseModel):
    """What the server asks of a site in one round, beside the weights to start from.

    ``network`` is the configuration of the network that the weights belong to, as its model card has it. ``issued`` is
    when it was given; every order of a real federation says so, and a later one of the same run is given later.
    ``counted`` is the last round in which the update of the site that is asked counted, 0 for none. Only a plan with
    control variates needs it; an order of another plan does not hold it at all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str = Field(pattern=RUN)
    round: int = Field(ge=1)
    plan: TrainingPlan
    network: dict[str, Any] = Field(default_factory=dict)
    issued: AwareDatetime | None = None
    counted: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _require_that_it_counted_before(self) -> Self:
        if self.counted is not None and self.counted >= self.round:
            raise ValueError("counted has to be a round before this one")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_told(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = handler(self)
        if self.counted is None:
            told.pop("counted", None)
        return told


class FederationSite(BaseModel):
    """A site by the name the coordinator knows it by; the folders are only known where it is simulated here.

    ``dataset`` is the folder of the site's data set and ``state`` the folder where it keeps its policy and its privacy
    ledger. ``synthetic`` tells whether its patients are phantoms; ``None`` where the coordinator does not know.
    ``patients`` is what the site registered, once and with its own consent; no reply can change it. ``key`` is the
    Ed25519 key (hexadecimal) that the site was admitted with; without it the first one seen is kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    dataset: Path | None = None
    state: Path | None = None
    synthetic: bool | None = None
    patients: int | None = Field(default=None, ge=1)
    key: str | None = None


class Federation(BaseModel):
    """``federation.json`` of a run folder: the run and the sites that may take part, in the order of their ids.

    In a real federation orders are signed in its ``name`` with the key in the file ``signing_key`` (Ed25519, raw), and
    only replies signed by the site's ``key`` count. A simulation has neither.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str = Field(pattern=RUN)
    sites: tuple[FederationSite, ...] = Field(min_length=1)
    round_timeout_s: float = Field(default=12 * 3600.0, gt=0)
    name: str | None = None
    signing_key: Path | None = None

    @model_validator(mode="after")
    def _require_keys_where_orders_are_signed(self) -> Self:
        if (self.name is None) != (self.signing_key is None):
            raise ValueError("name and signing_key go together")
        if self.signing_key is not None and any(site.key is None for site in self.sites):
            raise ValueError("every site of a real federation needs a key")
        return self
