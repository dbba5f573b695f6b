"""The federation: how a run stands, what each site's patients have paid, who is late, what happened."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from demo.federation import SeenRun
from demo.panels.parts import UNKNOWN, number, problem, quiet
from fedpsma.history.events import Event
from fedpsma.history.summary import RunSummary, SiteSummary

_EVENTS_SHOWN = 60


def federation(runs: Sequence[SeenRun]) -> str:
    """Return all runs."""
    if not runs:
        told = quiet("No run of a federation was found. Name its folder: fedpsma demo --runs FOLDER")
        return f"<h2>Federation</h2>{told}"
    return f"<h2>Federation</h2>{''.join(map(_run, runs))}"


def _run(run: SeenRun) -> str:
    if run.summary is None:
        return f'<article class="fp-run"><h3>{escape(run.name)}</h3>{problem(run.problem)}</article>'
    view = run.summary
    left = f" · about {view.seconds_left / 60:.0f} min left" if view.seconds_left else ""
    why = f" · {escape(view.why)}" if view.why else ""
    head = (
        f'<h3>{escape(view.run)} <span class="fp-state">{escape(view.standing)}</span></h3>'
        f"<p>Round {view.round} of {view.rounds}{left}{why}</p>"
        f'<progress max="{max(view.rounds, 1)}" value="{view.round}" aria-label="Rounds played"></progress>'
    )
    return f'<article class="fp-run">{head}{_sites(view)}{_privacy(view)}{_history(run)}</article>'


def _sites(view: RunSummary) -> str:
    heads = ("Site", "Now", "Rounds", "Missed", "Patients", "ε spent", "ε at the end", "of the budget")
    right = [' class="fp-number"' if 2 <= at <= 6 else "" for at in range(len(heads))]
    head = "".join(f'<th scope="col"{css}>{name}</th>' for css, name in zip(right, heads, strict=True))
    rows = "".join(_site(site, view) for site in view.sites)
    table = f'<table class="fp-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="fp-scroll" role="region" aria-label="Sites of {escape(view.run)}" tabindex="0">{table}</div>'


def _site(site: SiteSummary, view: RunSummary) -> str:
    doing = f"{site.doing}{': ' + site.why if site.why else ''}"
    kind = "fp-late" if site.doing in ("late", "refused", "set aside") else ""
    cells = (
        f'<td class="{kind}">{escape(doing)}</td><td class="fp-number">{site.rounds}</td>'
        f'<td class="fp-number">{site.missed}</td>'
        f'<td class="fp-number">{UNKNOWN if site.patients is None else site.patients}</td>'
        f'<td class="fp-number">{number(site.epsilon, 2)}</td>'
        f'<td class="fp-number">{number(site.epsilon_at_end, 2)}</td><td>{_bar(site, view.epsilon_budget)}</td>'
    )
    return f'<tr><th scope="row">{escape(site.site)}</th>{cells}</tr>'


def _bar(site: SiteSummary, budget: float | None) -> str:
    """Return epsilon against the budget: what is spent, and behind it what it comes to at the end."""
    if budget is None or budget <= 0 or site.epsilon is None:
        return UNKNOWN
    spent, end = (min(100.0, 100 * (value or 0.0) / budget) for value in (site.epsilon, site.epsilon_at_end))
    over = " fp-over" if (site.epsilon_at_end or 0.0) > budget * 1.0001 else ""
    told = f"{site.epsilon:.2f} of {budget:g} spent, {number(site.epsilon_at_end, 2)} at the end"
    return (
        f'<span class="fp-meter{over}" role="img" aria-label="{told}" title="{told}">'
        f'<span style="width:{end:.1f}%"></span><span style="width:{spent:.1f}%"></span></span>'
    )


def _privacy(view: RunSummary) -> str:
    if view.epsilon_budget is None:
        return quiet("This run trains without differential privacy.")
    delta = f", δ = {view.delta:g}" if view.delta is not None else ""
    return quiet(
        f"Budget of each site's patients: ε = {view.epsilon_budget:g}{delta}. The end is a bound: each round that is "
        "left counts as much as the last one. Figures that a site reports on its own patients are not covered by it."
    )


def _history(run: SeenRun) -> str:
    items = "".join(_event(event) for event in reversed(run.events[-_EVENTS_SHOWN:]))
    return (
        f"<details><summary>What happened ({escape(run.log)})</summary>"
        f'<ol class="fp-trail" reversed>{items}</ol></details>'
    )


def _event(event: Event) -> str:
    told = [event.kind.replace("_", " ")]
    told += [f"round {event.round}"] if event.round is not None else []
    told += [event.site] if event.site else []
    told += [event.reason] if event.reason else []
    told += [f"{event.seconds:.0f} s"] if event.seconds is not None else []
    return f"<li>{escape(', '.join(told))} <small>{escape(event.time[:19].replace('T', ' '))} UTC</small></li>"
