"""``flwr run``: both apps as an app bundle under a SuperLink on this machine, as close to a real federation as it gets.

Everything Flower keeps lies in the run folder (``flower/home``), and the SuperLink, its helpers and the Ray workers end
with the run.
"""

from __future__ import annotations

import json
import os
import time

from server.engines.ray import gpus_of_a_site
from server.failures import FederationError
from server.federation.app import write_app
from server.federation.superlink import CONNECTION, PAUSE_S, SuperLink, free_port
from server.run_folder import RunFolder


def run_with_flwr(folder: RunFolder) -> None:
    """Start a SuperLink, run the app on it, wait for the end, and stop everything that was started.

    Raises:
        FederationError: The run failed.
        SuperLinkError: The SuperLink does not start, or does not take the run.
    """
    flower = folder.path.resolve() / "flower"
    superlink = SuperLink(flower / "home", free_port(), ("--insecure", "--simulation"))
    superlink.home.mkdir(parents=True, exist_ok=True)
    app = write_app(flower / "app")
    process = superlink.start()
    try:
        started = superlink.flwr("run", str(app), CONNECTION, *_run_options(folder))
        _wait(superlink, started["run-id"])
    finally:
        superlink.stop(process)


def _run_options(folder: RunFolder) -> tuple[str, ...]:
    sites = len(folder.federation().sites)
    workers = max(1, min(sites, os.cpu_count() or 1))
    return (
        "--run-config",
        f"run-folder={json.dumps(str(folder.path.resolve()), ensure_ascii=False)}",
        "--federation-config",
        f"num-supernodes={sites} client-resources-num-cpus=1 init-args-num-cpus={workers}"
        f" client-resources-num-gpus={gpus_of_a_site(folder)}",
    )


def _wait(superlink: SuperLink, run_id: str) -> None:
    while True:
        status = superlink.flwr("list", CONNECTION, "--run-id", run_id)["runs"][0]["status"]
        if status == "finished:completed":
            return
        if status.startswith("finished"):
            raise FederationError(f"flwr run ended as {status}; see {superlink.log}")
        time.sleep(PAUSE_S)
