"""The steps of the quickstart, in the order of the one way through."""

from __future__ import annotations

import resource
from pathlib import Path

from rich.console import Console

from demo.quickstart.chain import Step, Workplace, run_steps
from demo.quickstart.cohorts import make_cohorts
from demo.quickstart.config import QuickstartConfig
from demo.quickstart.page import write_page
from demo.quickstart.patient import analyze_patient, draft_patient, stage_patient
from demo.quickstart.training import compare_models, train_federation, train_sites_alone

STEPS = (
    Step("cohorts", "Sites of synthetic patients that differ in tracer, scanner and disease", make_cohorts),
    Step("federation", "Federated training with differential privacy for the patient", train_federation),
    Step("alone", "The same training at each site alone, to compare", train_sites_alone),
    Step("comparison", "All models on the held-out patients of all sites", compare_models),
    Step("patient", "One held-out patient is read with the shared model", analyze_patient),
    Step("stage", "The stage, by rules", stage_patient),
    Step("draft", "The draft report, worded by a language model and checked by a verifier", draft_patient),
    Step("page", "One page that shows it all", write_page),
)


def run_quickstart(folder: Path, config: QuickstartConfig, console: Console | None = None) -> None:
    """Run the whole chain in ``folder``, or go on with it there.

    Raises:
        InputError: The folder holds something else.
    """
    from fedpsma.model.memory import keep_freed_memory

    keep_freed_memory()
    console = console or Console(highlight=False)
    console.print(
        "[bold]fedpsma quickstart[/bold]: every patient here is synthetic. Research software, not a medical device."
    )
    seconds = run_steps(STEPS, Workplace(folder, config, console))
    console.print(
        f"\nDone: {sum(seconds.values()) / 60:.1f} minutes of work; at most {_peak_gib():.1f} GiB in this process."
    )
    console.print(f"Open {folder / 'index.html'} in a browser, or run: fedpsma demo {folder}", soft_wrap=True)


def _peak_gib() -> float:
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(own, children) / 2**20
