"""How long an eight-lesion draft takes and how much memory: templates, warm cache, model, and plain generation.

Each way runs in a process of its own, so that its peak memory is its own. Plain generation is what transformers does
without this project: the same sentences one by one, the adapter beside the weights, no grammar.

Run it on an idle machine: python benchmarks/draft.py [--ways template,cold,warm,batch,plain]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fedpsma.domain.exam import Exam
from reporting.sentences import SentenceRequest

LESIONS = 8
WAYS = ("template", "cold", "warm", "batch", "plain")
LIMIT_S, LIMIT_GIB, LIMIT_WARM_S, LEAST_RATIO = 15.0, 1.5, 1.0, 3.0


def made_up_exam() -> Exam:
    """Return an exam whose eight lesions make eight different requests."""
    rows = [
        ("LN_EXTERNAL_ILIAC", "L", 15.9, "suspicious"),
        ("LN_COMMON_ILIAC", "R", 4.1, "nonspecific"),
        ("BONE_RIB", "R", 4.4, "none"),
        ("BONE_PELVIS", "L", 18.2, "suspicious"),
        ("BONE_LSPINE", "M", 7.5, "degenerative"),
        ("PROSTATE", "M", 22.0, "suspicious"),
        ("LIVER", "R", 3.1, "benign"),
        ("LN_AXILLARY", "L", 2.2, "benign"),
    ]
    lesions = [
        {"lesion_id": f"L{n}", "region": region, "side": side, "suvmax": suvmax, "size_mm": 8 + n, "ct_class": ct}
        for n, (region, side, suvmax, ct) in enumerate(rows, start=1)
    ]
    reference = {"blood_pool": 1.6, "liver": 5.1, "spleen": 8.0, "parotid": 15.0}
    return Exam.model_validate({"tracer": "68Ga-PSMA-11", "lesions": lesions, "reference_suv": reference})


def drafted(writer: str) -> int:
    """Draft the exam as ``fedpsma report draft`` does; return how many sentences are the model's own."""
    from fedpsma.staging import assess
    from reporting.backend import choose_backend
    from reporting.drafting import draft_report

    exam = made_up_exam()
    backend = choose_backend(writer, "en")
    draft = draft_report(exam, assess(exam), backend.writer, origin=backend.origin)
    if not draft.verification.passed:
        raise SystemExit("the draft did not pass its checks")
    return draft.provenance.sentences_by_origin.get("llm", 0)


def requests() -> list[SentenceRequest]:
    """Return what a model is asked for the exam."""
    from fedpsma.staging import assess
    from reporting.plan.case import build_case
    from reporting.plan.planner import plan_report

    exam = made_up_exam()
    plan = plan_report(build_case(exam, assess(exam)))
    return [one.request for section in plan for one in section.sentences if one.request]


def batched() -> tuple[int, float]:
    """Write the sentences as this project does, in one batch under the grammar; return their number and cpu seconds."""
    from reporting.llm.writer import LanguageModelWriter

    writer, asked = LanguageModelWriter.load(), requests()
    started = time.process_time()
    return sum(text is not None for text in writer.write(asked)), time.process_time() - started


def one_by_one() -> tuple[int, float]:
    """Let transformers write the same sentences one by one; return how many ended, and cpu seconds."""
    from peft import PeftModel

    from reporting.llm.loading import load_base
    from reporting.llm.prompts import messages
    from reporting.llm.store import require_model, shipped_adapter

    base, tokenizer = load_base(require_model())
    model, asked, ended = PeftModel.from_pretrained(base, str(shipped_adapter())).eval(), requests(), 0
    started = time.process_time()
    for request in asked:
        chat = messages(request.codes, request.placeholders)
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        said = model.generate(**prompt, do_sample=False, max_new_tokens=96, pad_token_id=tokenizer.pad_token_id)
        ended += int(tokenizer.eos_token_id in said[0, prompt["input_ids"].shape[1] :].tolist())
    return ended, time.process_time() - started


def measure(way: str) -> dict[str, Any]:
    """Run one way in this process and return wall and processor seconds, peak memory and its sentences.

    ``writing_cpu_s`` leaves out imports and loading.
    """
    started, spent = time.perf_counter(), time.process_time()
    alone = {"batch": batched, "plain": one_by_one}.get(way)
    sentences, writing = alone() if alone else (drafted("template" if way == "template" else "llm"), None)
    return {
        "wall_s": round(time.perf_counter() - started, 2),
        "cpu_s": round(time.process_time() - spent, 2),
        "writing_cpu_s": writing and round(writing, 2),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "sentences": sentences,
    }


def run_all(ways: list[str]) -> dict[str, dict[str, Any]]:
    """Run each way in a process of its own, with an empty cache of wordings that the warm way finds filled."""
    from reporting.llm.store import CACHE_VARIABLE, model_folder

    found = {}
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / model_folder().name).symlink_to(model_folder())
        for way in ways:
            command = [sys.executable, __file__, "--one", way]
            answer = subprocess.run(
                command, env={**os.environ, CACHE_VARIABLE: name}, check=True, capture_output=True, text=True
            )
            found[way] = json.loads(answer.stdout.splitlines()[-1])
            print(f"{way:9} {found[way]}")
    return found


def judge(found: dict[str, dict[str, Any]]) -> None:
    """Print each target beside what was measured; processor time where other work may share the machine."""
    cold, warm, batch, plain = (found.get(way) for way in ("cold", "warm", "batch", "plain"))
    if cold:
        print(f"draft {cold['wall_s']} s (target {LIMIT_S:g}), peak {cold['peak_gib']} GiB (target {LIMIT_GIB:g})")
    if warm:
        print(f"warm cache {warm['wall_s']} s wall, {warm['cpu_s']} s cpu (target {LIMIT_WARM_S:g})")
    if batch and plain:
        ratio = plain["writing_cpu_s"] / batch["writing_cpu_s"]
        print(f"plain generation takes {ratio:.1f} times the processor time (target at least {LEAST_RATIO:g})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--one", choices=WAYS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one)))
    else:
        judge(run_all(asked.ways.split(",")))
