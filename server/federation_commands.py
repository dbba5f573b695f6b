"""``fedpsma federation``: what a coordinator does."""

from __future__ import annotations

import typer

from server.federation import answer_commands, commands, run_commands

federation = typer.Typer(no_args_is_help=True, help="Look after a federation as its coordinator.")

for _command in (
    commands.init,
    commands.bundle,
    commands.admit,
    commands.revoke,
    commands.sites,
    commands.renew,
    commands.up,
    commands.service,
    run_commands.run,
    run_commands.watch,
    run_commands.stop,
    run_commands.export,
    run_commands.tensorboard,
    run_commands.verify,
    answer_commands.statistics,
    answer_commands.evaluate,
    answer_commands.calibrate,
):
    federation.command(_command.__name__)(_command)
