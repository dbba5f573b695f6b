"""Makes the analysed example study again: ``python -m demo.examples FOLDER``.

A synthetic patient on coarse voxels goes through the same analysis as any study, with the model that ships with the
package, so that images, outlines, table and referral agree. No real person. The same versions give the same study.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fedpsma.offline import go_offline

STUDY = "synthetic-analysed-study"
"""Name of the example's folder, and of the study in it."""

_SITE, _INDEX, _SEED, _SPACING_MM = "D", 3055, 1, 5.0


def make_example(
    out: Annotated[Path, typer.Argument(help="Folder to write; an older example there is replaced.")],
) -> None:
    """Make the synthetic analysed study that fedpsma demo opens without arguments.

    Example: python -m demo.examples demo/examples/synthetic-analysed-study
    """
    from fedpsma.analysis import AnalysisOptions, analyze, judge_beside
    from fedpsma.analysis_folder import EXAM_FILE, write_analysis
    from fedpsma.io.exam_file import write_record
    from fedpsma.lesions.candidates import CandidateOptions
    from fedpsma.model.checkpoint import load_checkpoint, load_network
    from fedpsma.phantom.patient import PhantomOptions, draw_patient

    patient = draw_patient(_SITE, _INDEX, _SEED, PhantomOptions(spacing_mm=_SPACING_MM, language="en"))
    known = patient.truth.exam
    options = AnalysisOptions(
        candidates=CandidateOptions(judge=judge_beside(None)), prostate_status=known.clinical.prostate_status
    )
    study = replace(patient.study, study_id=STUDY, lesions=None, anatomy=None)
    found = analyze(study, load_network(None), options)
    # Neither times nor key images: the example stays the same, and small.
    write_analysis(out, study, found, load_checkpoint(None).card, synthetic=True, seconds={})
    (out / "key_images.png").unlink(missing_ok=True)
    told = {"indication": known.indication, "clinical": known.clinical}
    write_record(out / EXAM_FILE, found.exam.model_copy(update=told))
    lesions = ", ".join(f"{one.lesion_id} {one.region} {one.label}" for one in found.exam.lesions)
    typer.echo(f"{out}: {len(found.exam.lesions)} foci: {lesions}")


if __name__ == "__main__":
    go_offline()
    typer.run(make_example)
