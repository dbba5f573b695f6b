"""PROMISE miTNM from the counted lesions: the object first, the string from the object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fedpsma.domain.assessment import MiTnm, TraceEntry
from fedpsma.domain.exam import ProstateStatus
from fedpsma.domain.region import Region, Side
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
    """The miTNM object with what its string shows besides.

    ``sided_nodes`` are the pelvic regions with their sides ("EIL"), ``bones`` the bones that V1 names where there are
    no more than three lesions.
    """

    mitnm: MiTnm
    sided_nodes: tuple[str, ...]
    bones: tuple[str, ...] = ()

    @property
    def parts(self) -> list[str]:
        """The parts of the canonical string, one for each category ("miT0", "N1 (EIL)", "M1b (uni)")."""
        mitnm = self.mitnm
        details = {"M1a": mitnm.M1a_regions, "M1b": [*mitnm.M1b_pattern, *self.bones], "M1c": mitnm.M1c_organs}
        local = [f"mi{mitnm.T}", _with_details(mitnm.N, self.sided_nodes)]
        return local + [_with_details(category, details.get(category, [])) for category in mitnm.M]

    @property
    def text(self) -> str:
        """The canonical string."""
        return " ".join(self.parts)

    @property
    def meaning(self) -> str:
        """The canonical string without what V1 only writes in another way: N1a for N1, N1b for N2, names of bones."""
        return replace(self, bones=()).text.replace("N1a", "N1").replace("N1b", "N2")

    def with_local(self, code: str) -> Stage:
        """Return the same stage with another miT code."""
        return replace(self, mitnm=self.mitnm.model_copy(update={"T": code}))


@dataclass(frozen=True)
class Unit:
    """All that the stage asks of a counted lesion; ``extent`` is the miT extent stated for it, by table or text."""

    region: Region
    side: Side | None
    extent: str | None

    def axis(self, options: StagingOptions) -> str:
        """Return the axis; proven prostate cancer at a site without one counts as another organ."""
        if options.promise == "v1" and self.region is Region.LN_COMMON_ILIAC:
            return "N"
        return self.region.facts.mitnm_axis or "M1c"


def unit_of(one: LesionFacts) -> Unit:
    """Return the staging unit of a lesion; without a stated extent an extracapsular extension in the text is T3a."""
    stated = one.lesion.t_extent
    beyond = one.region is Region.PROSTATE and "extracapsular" in one.ct.marks
    return Unit(one.region, one.lesion.side, stated if stated or not beyond else "T3a")


def stage(counted: Sequence[LesionFacts], status: ProstateStatus | None, options: StagingOptions) -> Noted[Stage]:
    """Stage the counted lesions; the order of the lesions does not matter."""
    found = stage_units(Counter(unit_of(one) for one in counted), status, options)
    return Noted(found, _trace(found, counted, status, options))


def stage_units(units: Counter[Unit], status: ProstateStatus | None, options: StagingOptions) -> Stage:
    """Stage lesions by their units, without a trace."""
    by_axis: dict[str, Counter[Unit]] = {name: Counter() for name in ("T", "N", "M1a", "M1b", "M1c")}
    for unit, number in units.items():
        by_axis[unit.axis(options)][unit] += number
    sided = _sided_nodes(by_axis["N"])
    n_code, n_regions = nodal_stage(sided, options)
    m1a = _in_order(_M1A_ORDER, (one.region.facts.mitnm_code for one in by_axis["M1a"]))
    m1b = bone_pattern(by_axis["M1b"], options)
    m1c = _in_order(_M1C_ORDER, (one.region.facts.mitnm_code or "other" for one in by_axis["M1c"]))
    present = [name for name, found in (("M1a", m1a), ("M1b", m1b), ("M1c", m1c)) if found]
    mitnm = MiTnm(
        T=local_stage(by_axis["T"], status),
        N=n_code,
        N_regions=n_regions,
        M=present or ["M0"],
        M1a_regions=m1a,
        M1b_pattern=m1b,
        M1c_organs=m1c,
    )
    return Stage(mitnm, tuple(sided), _named_bones(by_axis["M1b"]) if options.promise == "v1" else ())


def other_local_stage(counted: Sequence[LesionFacts], status: ProstateStatus | None) -> str | None:
    """Return the other miT code that a contradiction leaves possible; null where nothing contradicts.

    It is a lesion in a gland that is said to be removed, or in the bed of a gland that is said to be in place.
    """
    in_gland, in_bed = (
        sum(one.region is region for one in counted) for region in (Region.PROSTATE, Region.PROSTATE_BED)
    )
    if status == "removed" and in_gland and not in_bed:
        return "Tr"
    if status in ("in_situ", "irradiated") and in_bed and not in_gland:
        return "T2u" if in_bed == 1 else "T2m"
    return None


def local_stage(local: Counter[Unit], status: ProstateStatus | None) -> str:
    """Return the highest miT code; Tr only after removal of the prostate or on the reader's word."""
    if not local:
        return "T0"
    in_the_gland = sum(number for one, number in local.items() if one.region is Region.PROSTATE)
    if any(one.extent == "Tr" for one in local) and status != "in_situ":
        return "Tr"
    in_the_bed = any(one.region is Region.PROSTATE_BED for one in local)
    if not in_the_gland and (in_the_bed or status == "removed"):
        return "Tr"
    if in_the_bed and status == "removed":
        return "Tr"
    codes = [_extent(one) for one in local if one.region is not Region.PROSTATE_BED]
    highest = max(codes, key=_T_ORDER.index)
    if highest == "T2":
        return "T2u" if in_the_gland == 1 else "T2m"
    return highest


def _extent(one: Unit) -> str:
    by_region = one.region.facts.mitnm_code or "T2"
    stated = one.extent if one.extent not in (None, "Tr") else by_region
    code = max((stated, by_region), key=_T_ORDER.index)
    return "T2" if code == "T2u" else code


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


def bone_pattern(bones: Counter[Unit], options: StagingOptions) -> list[str]:
    """Return the M1b pattern by the number of counted bone lesions; diffuse marrow involvement replaces the count."""
    marrow = sum(number for one, number in bones.items() if one.region is Region.BONE_MARROW_DIFFUSE)
    number = bones.total() - marrow
    limits = rule("bone_pattern").values
    if number >= limits["disseminated_from"]:
        pattern = ["diss"]
    elif number >= limits["oligo_from"]:
        pattern = ["oligo"]
    else:
        pattern = ["uni"] if number else []
    if marrow or options.diffuse_marrow:
        return [*pattern, "dmi"] if options.pattern_beside_dmi else ["dmi"]
    return pattern


def _named_bones(bones: Counter[Unit]) -> tuple[str, ...]:
    """Name the bones of unifocal and oligometastatic disease, as V1 does."""
    if bones.total() >= rule("bone_pattern").values["disseminated_from"]:
        return ()
    sides = {"L": "left ", "R": "right "}
    countable = [one for one in bones if one.region is not Region.BONE_MARROW_DIFFUSE]
    return tuple(sorted({sides.get(one.side or "", "") + one.region.facts.name_en for one in countable}))


def app_text(found: Stage, primary: int | str | None, highest: int | None, lowest: int | None) -> str:
    """Render the string in the style of the PROMISE application, with the scores that go with it.

    Example:
        >>> found = Stage(MiTnm(T="T2u", N="N0", M=["M0"]), ())
        >>> app_text(found, 4, 3, 1)
        'mi T2u (PRIMARY4) N0 M0 / PSMA expression score highest 3 lowest 1'
    """
    local, *others = found.parts
    shown = f" (PRIMARY{primary})" if isinstance(primary, int) else ""
    stage_text = " ".join([f"mi {local.removeprefix('mi')}{shown}", *others])
    if highest is None and lowest is None:
        return stage_text
    told = ["open" if one is None else str(one) for one in (highest, lowest)]
    return f"{stage_text} / PSMA expression score highest {told[0]} lowest {told[1]}"


def _with_details(code: str, details: Sequence[str]) -> str:
    return f"{code} ({', '.join(details)})" if details else code


def _sided_nodes(nodes: Counter[Unit]) -> list[str]:
    found: set[str] = set()
    for one in nodes:
        code = str(one.region.facts.mitnm_code)
        sides = ("L", "R") if one.side == "B" else (one.side,)
        shown = {side for side in sides if side in ("L", "R") and code != _WITHOUT_SIDE}
        found |= {f"{code}{side}" for side in shown} or {code}
    # A node without a known side may be one of those beside it.
    unsided = {str(one.region.facts.mitnm_code) for one in nodes if one.side is None}
    found -= {code for code in unsided if {f"{code}L", f"{code}R"} & found and not _is_midline(code, nodes)}
    return sorted(found, key=lambda node: (_PELVIC_ORDER.index(node[:2]), node))


def _is_midline(code: str, nodes: Counter[Unit]) -> bool:
    return any(one.side == "M" and one.region.facts.mitnm_code == code for one in nodes)


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
    axes = {one.lesion_id: unit_of(one).axis(options) for one in counted}
    local = {
        one.lesion_id: f"{one.region.facts.name_en}, {unit_of(one).extent or 'no extent stated'}"
        for one in counted
        if axes[one.lesion_id] == "T"
    }
    nodes = {one.lesion_id: one.region for one in counted if axes[one.lesion_id] == "N"}
    distant = {
        one.lesion_id: f"{axes[one.lesion_id]}, {one.region.facts.name_en}"
        for one in counted
        if axes[one.lesion_id].startswith("M1")
    }
    version = {"PROMISE V1": "common iliac nodes are pelvic; N1a, N1b for N1, N2"} if options.promise == "v1" else {}
    bones = [name for name, axis in axes.items() if axis == "M1b"]
    return (
        traced("mitnm_t", {"prostate_status": status, "lesions": local}, mitnm.T),
        traced(
            "mitnm_n",
            {"lesions": nodes, "regions": list(found.sided_nodes), "count_sides": options.count_sides} | version,
            mitnm.N,
        ),
        traced("mitnm_m", {"lesions": distant} | version, found.parts[2:]),
        traced("bone_pattern", {"lesions": bones, "diffuse_marrow": options.diffuse_marrow}, mitnm.M1b_pattern),
    )
