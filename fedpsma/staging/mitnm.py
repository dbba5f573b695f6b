"""PROMISE miTNM from the counted lesions: the object first, the string from the object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fedpsma.domain.assessment import MiTnm, TraceEntry
from fedpsma.domain.exam import ProstateStatus
from fedpsma.domain.region import Region
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.options import StagingOptions
from fedpsma.staging.rulebook import Noted, rule, traced

_PELVIC_ORDER = ("II", "EI", "CI", "OB", "PS", "OP")
_M1A_ORDER = ("CI", "RP", "SD", "OE")
_M1C_ORDER = ("hep", "pul", "adr", "brain", "other")
_T_ORDER = ("T0", "T2", "T2u", "T2m", "T3a", "T3b", "T4")
_WITHOUT_SIDE = "PS"


@dataclass(frozen=True)
class Stage:
    """The miTNM object with the sided pelvic regions that its string shows ("EIL")."""

    mitnm: MiTnm
    sided_nodes: tuple[str, ...]

    @property
    def parts(self) -> list[str]:
        """The parts of the canonical string, one for each category ("miT0", "N1 (EIL)", "M1b (uni)")."""
        return parts(self.mitnm, self.sided_nodes)

    @property
    def text(self) -> str:
        """The canonical string."""
        return " ".join(self.parts)


def stage(counted: Sequence[LesionFacts], status: ProstateStatus | None, options: StagingOptions) -> Noted[Stage]:
    """Stage the counted lesions; the order of the lesions does not matter."""
    found = _stage(counted, status, options)
    return Noted(found, _trace(found, counted, status, options))


def _stage(counted: Sequence[LesionFacts], status: ProstateStatus | None, options: StagingOptions) -> Stage:
    t_code = local_stage(counted, status)
    sided = _sided_nodes(counted, options)
    n_code, n_regions = nodal_stage(sided, options)
    m1a = _in_order(_M1A_ORDER, (one.region.facts.mitnm_code for one in counted if _axis(one, options) == "M1a"))
    m1b = bone_pattern([one for one in counted if _axis(one, options) == "M1b"], options)
    m1c = _in_order(_M1C_ORDER, (_organ_code(one) for one in counted if _axis(one, options) == "M1c"))
    present = [name for name, found in (("M1a", m1a), ("M1b", m1b), ("M1c", m1c)) if found]
    mitnm = MiTnm(
        T=t_code, N=n_code, N_regions=n_regions, M=present or ["M0"], M1a_regions=m1a, M1b_pattern=m1b, M1c_organs=m1c
    )
    return Stage(mitnm, tuple(sided))


def local_stage(counted: Sequence[LesionFacts], status: ProstateStatus | None) -> str:
    """Return the highest miT code; Tr only after removal of the prostate or on the reader's word."""
    local = [one for one in counted if one.region.facts.mitnm_axis == "T"]
    if not local:
        return "T0"
    in_the_gland = [one for one in local if one.region is Region.PROSTATE]
    if any(one.lesion.t_extent == "Tr" for one in local) and status != "in_situ":
        return "Tr"
    in_the_bed = any(one.region is Region.PROSTATE_BED for one in local)
    if (in_the_bed or not in_the_gland) and status == "removed":
        return "Tr"
    if in_the_bed and not in_the_gland:
        return "Tr"
    codes = [_extent(one) for one in local if one.region is not Region.PROSTATE_BED]
    highest = max(codes, key=_T_ORDER.index)
    if highest == "T2":
        return "T2u" if len(in_the_gland) == 1 else "T2m"
    return highest


def _extent(one: LesionFacts) -> str:
    stated = one.lesion.t_extent if one.lesion.t_extent != "Tr" else None
    own = stated or ("T3a" if _is_extracapsular(one) else one.region.facts.mitnm_code or "T2")
    by_region = one.region.facts.mitnm_code or "T2"
    code = max((own, by_region), key=_T_ORDER.index)
    return "T2" if code == "T2u" else code


def _is_extracapsular(one: LesionFacts) -> bool:
    return one.region is Region.PROSTATE and "extracapsular" in one.ct.marks


def nodal_stage(sided_nodes: Sequence[str], options: StagingOptions) -> tuple[str, list[str]]:
    """Return the miN code and its regions; the unit is the region, whatever the number of nodes.

    Example:
        >>> nodal_stage(["EIL", "EIR"], StagingOptions())
        ('N1', ['EI'])
        >>> nodal_stage(["EIL", "EIR"], StagingOptions(count_sides=True))
        ('N2', ['EI'])
    """
    regions = _in_order(_PELVIC_ORDER, (node[:2] for node in sided_nodes))
    units = len(sided_nodes) if options.count_sides else len(regions)
    if not units:
        return "N0", []
    one_region, more = ("N1", "N2") if options.promise == "v2" else ("N1a", "N1b")
    return (one_region if units == 1 else more), regions


def bone_pattern(bones: Sequence[LesionFacts], options: StagingOptions) -> list[str]:
    """Return the M1b pattern by the number of counted bone lesions; diffuse marrow involvement replaces the count."""
    diffuse = any(one.region is Region.BONE_MARROW_DIFFUSE for one in bones)
    number = sum(one.region is not Region.BONE_MARROW_DIFFUSE for one in bones)
    limits = rule("bone_pattern").values
    if number >= limits["disseminated_from"]:
        pattern = ["diss"]
    elif number >= limits["oligo_from"]:
        pattern = ["oligo"]
    else:
        pattern = ["uni"] if number else []
    if diffuse:
        return [*pattern, "dmi"] if options.pattern_beside_dmi else ["dmi"]
    return pattern


def render(mitnm: MiTnm, sided_nodes: Sequence[str] = ()) -> str:
    """Render the canonical string.

    Example:
        >>> render(MiTnm(T="T2u", N="N1", N_regions=["EI"], M=["M1b"], M1b_pattern=["uni"]), ["EIL"])
        'miT2u N1 (EIL) M1b (uni)'
    """
    return " ".join(parts(mitnm, sided_nodes))


def parts(mitnm: MiTnm, sided_nodes: Sequence[str] = ()) -> list[str]:
    """Render the canonical string in parts, one for each category."""
    details = {"M1a": mitnm.M1a_regions, "M1b": mitnm.M1b_pattern, "M1c": mitnm.M1c_organs}
    local = [f"mi{mitnm.T}", _with_details(mitnm.N, sided_nodes or mitnm.N_regions)]
    return local + [_with_details(category, details.get(category, [])) for category in mitnm.M]


def _with_details(code: str, details: Sequence[str]) -> str:
    return f"{code} ({', '.join(details)})" if details else code


def _sided_nodes(counted: Sequence[LesionFacts], options: StagingOptions) -> list[str]:
    found: set[str] = set()
    for one in counted:
        if _axis(one, options) != "N":
            continue
        code = str(one.region.facts.mitnm_code)
        sides = ("L", "R") if one.lesion.side == "B" else (one.lesion.side,)
        shown = {side for side in sides if side in ("L", "R") and code != _WITHOUT_SIDE}
        found |= {f"{code}{side}" for side in shown} or {code}
    return sorted(found, key=lambda node: (_PELVIC_ORDER.index(node[:2]), node))


def _axis(one: LesionFacts, options: StagingOptions) -> str:
    """Return the axis of a lesion; proven prostate cancer at a site without one counts as another organ."""
    if options.promise == "v1" and one.region is Region.LN_COMMON_ILIAC:
        return "N"
    return one.region.facts.mitnm_axis or "M1c"


def _organ_code(one: LesionFacts) -> str:
    return one.region.facts.mitnm_code or "other"


def _in_order(order: Sequence[str], codes: Iterable[str | None]) -> list[str]:
    present = set(codes)
    return [code for code in order if code in present]


def _trace(
    found: Stage,
    counted: Sequence[LesionFacts],
    status: ProstateStatus | None,
    options: StagingOptions,
) -> tuple[TraceEntry, ...]:
    mitnm = found.mitnm
    bones = [one for one in counted if _axis(one, options) == "M1b"]
    local = {one.lesion_id: one.region for one in counted if one.region.facts.mitnm_axis == "T"}
    entries = [
        traced("mitnm_t", {"prostate_status": status, "lesions": local}, mitnm.T),
        traced("mitnm_n", {"regions": list(found.sided_nodes), "count_sides": options.count_sides}, mitnm.N),
        traced("mitnm_m", {"M1a": mitnm.M1a_regions, "M1b": mitnm.M1b_pattern, "M1c": mitnm.M1c_organs}, mitnm.M),
        traced("bone_pattern", {"lesions": [one.lesion_id for one in bones]}, mitnm.M1b_pattern),
    ]
    return (*entries, *_option_effects(found, counted, status, options))


def _option_effects(
    found: Stage, counted: Sequence[LesionFacts], status: ProstateStatus | None, options: StagingOptions
) -> list[TraceEntry]:
    """Say which policy, taken the other way, would have given another stage."""
    alternatives = {
        "count_sides": replace(options, count_sides=not options.count_sides),
        "promise": replace(options, promise="v1" if options.promise == "v2" else "v2"),
        "pattern_beside_dmi": replace(options, pattern_beside_dmi=not options.pattern_beside_dmi),
    }
    entries = []
    for name, other in alternatives.items():
        text = _stage(counted, status, other).text
        if _without_version(text) != _without_version(found.text):
            inputs = {"option": name, "value": getattr(options, name), "otherwise": text}
            entries.append(traced("option_effect", inputs, found.text))
    return entries


def _without_version(text: str) -> str:
    return text.replace("N1a", "N1").replace("N1b", "N2")
