"""Patients dealt out to sites: by what tells them apart, or in shares from a Dirichlet distribution."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from fedpsma.errors import InputError
from server.simulation.config import Partition

Sites = dict[str, tuple[str, ...]]
"""The patients of each site."""


def partition(labels: Mapping[str, str], rule: Partition, seed: int) -> Sites:
    """Deal patients out: every patient to exactly one site, the same for the same seed.

    Args:
        labels: What tells the patients apart (scanner or tracer), by patient.
        rule: How to deal them out.
        seed: Decides who comes where.

    Raises:
        InputError: There are too few patients for so many sites.

    Example:
        >>> partition({"p1": "a", "p2": "b", "p3": "a"}, Partition(by="tracer", least_patients=1), seed=0)
        {'a': ('p1', 'p3'), 'b': ('p2',)}
    """
    if rule.by in ("scanner", "tracer"):
        dealt = _groups(labels)
        least = min((len(patients) for patients in dealt.values()), default=0)
        if least < rule.least_patients:
            raise _too_few(f"a {rule.by} has {least} patients")
        return _with_names(dealt)
    return _dealt(labels, rule, np.random.default_rng(seed))


def _dealt(labels: Mapping[str, str], rule: Partition, rng: np.random.Generator) -> Sites:
    if len(labels) < rule.sites * rule.least_patients:
        raise _too_few(f"{len(labels)} patients are too few for {rule.sites} sites")
    groups = _groups(labels if rule.by == "dirichlet" else dict.fromkeys(labels, ""))
    sites: list[list[str]] = [[] for _ in range(rule.sites)]
    for patients in groups.values():
        shares = rng.dirichlet(np.full(rule.sites, rule.alpha))
        shuffled = [patients[at] for at in rng.permutation(len(patients))]
        ends = np.floor(np.cumsum(shares) * len(patients) + 0.5).astype(int)[:-1]
        for site, part in zip(sites, np.split(np.array(shuffled, dtype=object), ends), strict=True):
            site.extend(part)
    _level(sites, rule.least_patients)
    return {f"site-{number}": tuple(sorted(patients)) for number, patients in enumerate(sites, start=1)}


def _level(sites: Sequence[list[str]], least: int) -> None:
    """Let the largest site give patients to those that have too few."""
    for site in sites:
        while len(site) < least:
            site.append(max(sites, key=len).pop())


def _groups(labels: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for patient in sorted(labels):
        groups.setdefault(labels[patient], []).append(patient)
    return {label: groups[label] for label in sorted(groups)}


def _with_names(groups: Mapping[str, list[str]]) -> Sites:
    """Turn what tells patients apart into names of sites; two that come out alike get a number."""
    plain = {label: re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-._")[:48] or "unknown" for label in groups}
    named: Sites = {}
    for label, patients in groups.items():
        name, number = plain[label], len(named) + 1
        # A number must not make the name of another label either.
        while name in named or (name != plain[label] and name in plain.values()):
            name, number = f"{plain[label]}-{number}", number + 1
        named[name] = tuple(patients)
    return named


def _too_few(what: str) -> InputError:
    return InputError(what, where="partition", remedy="ask for fewer sites, or for a smaller least_patients")
