"""Data sets in, a run folder that can be worked off out: one of a run with other settings is left as it is."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from fedpsma.contract import Federation, FederationSite
from fedpsma.errors import InputError
from fedpsma.io.files import (
    held_alone,
    read_json,
    require_folder_or_nothing,
    require_writable,
    write_json,
    write_text,
)
from fedpsma.model.checkpoint import Checkpoint, load_checkpoint
from fedpsma.training.trainer import DEFAULT_TRAINER
from server.run_folder import RunFolder
from server.simulation.config import SimulationConfig
from server.simulation.datasets import SiteData, written
from server.simulation.dealing import Share, deal
from server.simulation.feasibility import require_feasible

# Everything at a simulated site belongs to the one who simulates, so its policy forbids nothing.
POLICY = "epsilon_budget = inf\nallow_fixed_seed = true\nallow_without_privacy = true\nsimulated = true\n"
ADVERSARIES = "client.adversary"
DEALT_FILE = "dealt.json"


def prepared(config: SimulationConfig) -> tuple[RunFolder, tuple[SiteData, ...]]:
    """Write the data of the sites and what the run needs; a run with other settings is left as it is.

    Raises:
        InputError: The settings cannot be carried out, or are not those of the run in the folder, or another process
            is at it.
    """
    require_writable(config.out)
    require_folder_or_nothing(config.out)
    shares, initial = deal(config), load_checkpoint(config.init)
    require_feasible(config, shares, initial)
    folder = RunFolder(config.out)
    folder.path.mkdir(parents=True, exist_ok=True)
    with held_alone(folder.path):
        if folder.is_prepared:
            _require_same(config, folder, shares, initial)
        sites = written(config, shares)
        admitted = tuple(_site(site) for site in sites)
        if not folder.is_prepared:
            _prepare(config, folder, shares, admitted, initial)
        elif folder.federation().sites != admitted:
            raise _other_settings(folder)
    return folder, sites


def _require_same(config: SimulationConfig, folder: RunFolder, shares: Sequence[Share], initial: Checkpoint) -> None:
    known = load_checkpoint(folder.initial_path).card.sha256
    dealt = folder.path / DEALT_FILE
    before = (folder.plan(), folder.rules(), known, read_json(dealt) if dealt.exists() else None)
    if before != (config.full_plan, config.rules, initial.card.sha256, _dealt(config, shares)):
        raise _other_settings(folder)


def _other_settings(folder: RunFolder) -> InputError:
    return InputError(
        "holds a run with other settings", where=str(folder.path), remedy="give another folder with --out"
    )


def _dealt(config: SimulationConfig, shares: Sequence[Share]) -> dict[str, dict[str, str]]:
    """Return by site what a run must find again to go on: whose patients train, which of them, and who attacks how."""
    pool = ", ".join(str(path.resolve()) for path in config.datasets)
    return {
        one.name: {
            "source": pool if one.of_pool else str(one.source.folder.resolve()),
            "patients": one.fingerprint,
            "attack": config.attack.kind if config.attack and one.attacks else "none",
            "trainer": config.trainer or DEFAULT_TRAINER,
        }
        for one in shares
    }


def _prepare(
    config: SimulationConfig,
    folder: RunFolder,
    shares: Sequence[Share],
    admitted: tuple[FederationSite, ...],
    initial: Checkpoint,
) -> None:
    write_json(folder.path / DEALT_FILE, _dealt(config, shares))
    for site, share in zip(admitted, shares, strict=True):
        text = _policy(config, share) + _ledger(config, site)
        write_text(folder.path / "sites" / site.name / "site.toml", text)
    folder.prepare(config.full_plan, Federation(run=secrets.token_hex(8), sites=admitted), initial, config.rules)


def _policy(config: SimulationConfig, share: Share) -> str:
    attack, trainer = config.attack, config.trainer
    if attack and attack.kind != "label_flip" and share.attacks:
        trainer = f"{trainer or ADVERSARIES}:{attack.kind}"
    return POLICY + (f"trainer = {json.dumps(trainer, ensure_ascii=False)}\n" if trainer else "")


def _ledger(config: SimulationConfig, site: FederationSite) -> str:
    """Return where a site's ledger lies: phantoms lose nothing, so each run counts for itself.

    What real patients pay is written down in the one given data set they come from.
    """
    if site.synthetic:
        return 'ledger = "ledger.jsonl"\n'
    given = [path for path in config.datasets if config.partition or config.subject.open(path).site == site.name]
    return f"ledger = {json.dumps(str(given[0].resolve() / 'ledger.jsonl'), ensure_ascii=False)}\n"


def _site(site: SiteData) -> FederationSite:
    dataset = site.training
    return FederationSite(
        name=site.name,
        dataset=dataset.folder.resolve(),
        state=Path("sites") / site.name,
        synthetic=dataset.synthetic,
        patients=len(dataset.patients),
    )
