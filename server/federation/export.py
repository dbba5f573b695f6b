"""What a finished run leaves for others: the model with its card, a signed record of how it came about, its history."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fedpsma import __version__
from fedpsma.errors import InputError
from fedpsma.io.chain import Links, verify_chain
from fedpsma.io.files import finished_folder, read_json, require_own_folder, write_json, write_text
from fedpsma.joining.keys import read_signing_key
from fedpsma.model.checkpoint import card_path, load_checkpoint
from server.federation.app import app_sha256
from server.federation.runs import FederationRun

RECORD, SIGNATURE, HISTORY = "record.json", "record.sig", "events.jsonl"
_SIGNED = b"fedpsma record 1\n"


def export(run: FederationRun, out: Path) -> Path:
    """Write model, card, record, signature and history into a folder, whole or not at all.

    Raises:
        InputError: The run is not finished, its history was changed, or ``out`` holds something else.
    """
    run.require()
    require_own_folder(out, RECORD, (SIGNATURE, HISTORY, "model.safetensors", "model.card.json"))
    if not run.folder.model_path.is_file():
        remedy = f"see: fedpsma federation watch {run.name}"
        raise InputError(f"is {run.standing} and has no model", where=run.name, remedy=remedy)
    record = _record(run, verify_chain(run.folder.events.path))
    key = read_signing_key(run.home.signing_key_path)
    with finished_folder(out) as draft:
        for path in (run.folder.model_path, card_path(run.folder.model_path), run.folder.events.path):
            shutil.copyfile(path, draft / path.name)
        write_json(draft / RECORD, record)
        write_text(draft / SIGNATURE, key.sign(_SIGNED + (draft / RECORD).read_bytes()).hex() + "\n")
    return out


def verify(log: Path) -> Links:
    """Return the chain of a history if it holds, and ends as the record beside it says, where there is one.

    Raises:
        InputError: A line was changed, or lines are missing, or the record was changed.
    """
    links = verify_chain(log)
    record = log.with_name(RECORD)
    if not record.is_file():
        return links
    content = read_json(record)
    if content["history"] != {"lines": links.lines, "sha256": links.head}:
        raise InputError("is not the history that its record names", where=str(log), remedy="get the export again")
    _require_signed(record, content["coordinator_key"])
    return links


def _record(run: FederationRun, links: Links) -> dict[str, Any]:
    view, federation = run.summary(), run.folder.federation()
    card = load_checkpoint(run.folder.model_path).card
    return {
        "schema_version": 1,
        "federation": federation.name,
        "run": run.name,
        "run_id": federation.run,
        "model": {"sha256": card.sha256, "epsilon": card.epsilon, "delta": card.delta, "data": card.data},
        "initial_sha256": load_checkpoint(run.folder.initial_path).card.sha256,
        "plan": run.folder.plan().model_dump(mode="json"),
        "rules": run.folder.rules().model_dump(mode="json"),
        "rounds": view.round,
        "sites": [site.model_dump(mode="json", exclude={"doing", "why", "epsilon_at_end"}) for site in view.sites],
        "history": {"lines": links.lines, "sha256": links.head},
        "app_sha256": app_sha256(),
        "fedpsma": __version__,
        "coordinator_key": run.home.public_key,
    }


def _require_signed(record: Path, key: str) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        signature = bytes.fromhex(record.with_name(SIGNATURE).read_text("utf-8").strip())
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, _SIGNED + record.read_bytes())
    except (OSError, ValueError, InvalidSignature) as error:
        raise InputError("is not signed by its coordinator", where=str(record), remedy="get it again") from error
