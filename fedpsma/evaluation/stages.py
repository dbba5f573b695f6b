"""Stages to be compared: the levels of miT, miN and miM, from whole codes down to yes and no."""

from __future__ import annotations

from fedpsma.domain.assessment import MiTnm

T_LEVELS = ("T0", "T2 or Tr", "T3", "T4")
N_LEVELS = ("N0", "N1", "N2")
M_LEVELS = ("M0", "M1a", "M1b", "M1c")
_PROMISE_V1 = {"N1a": "N1", "N1b": "N2"}


def t_level(stage: MiTnm) -> str:
    """Return how far the local tumour reaches.

    A recurrence after removal of the prostate stands with the organ-confined tumour: both are local, and which of them
    it is follows from the history.

    Example:
        >>> [t_level(MiTnm(T=code, N="N0", M=["M0"])) for code in ("T0", "T2u", "Tr", "T3b")]
        ['T0', 'T2 or Tr', 'T2 or Tr', 'T3']
    """
    return T_LEVELS[1] if stage.T == "Tr" else next(level for level in T_LEVELS if level[:2] == stage.T[:2])


def n_level(stage: MiTnm) -> str:
    """Return N0, N1 or N2 of PROMISE V2."""
    return _PROMISE_V1.get(stage.N, stage.N)


def m_level(stage: MiTnm) -> str:
    """Return the highest of the M categories that are present.

    Example:
        >>> m_level(MiTnm(T="T0", N="N0", M=["M1a", "M1b"]))
        'M1b'
    """
    return max(stage.M, key=M_LEVELS.index)


def m_whole(stage: MiTnm) -> tuple[str, ...]:
    """Return every M category with the pattern of the bone metastases."""
    return (*stage.M, *stage.M1b_pattern)


def is_t(stage: MiTnm) -> bool:
    """Tell whether there is any local tumour."""
    return stage.T != "T0"


def is_n(stage: MiTnm) -> bool:
    """Tell whether any pelvic node is involved."""
    return stage.N != "N0"


def is_m(stage: MiTnm) -> bool:
    """Tell whether there is any distant metastasis."""
    return stage.M != ["M0"]
