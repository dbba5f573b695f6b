"""The history of a federated run and how it is read: the one source of terminal, JSON, web page and TensorBoard.

A run folder, of a simulation or of a real federation, holds ``events.jsonl`` beside ``plan.json`` and
``federation.json``. :func:`fedpsma.history.summary.summary_of` reads how the run stands (rounds, sites, who is late or
failed and why, epsilon paid and projected, time left), :func:`fedpsma.history.rounds.rounds_of` what each round
brought, and :func:`fedpsma.history.tensorboard.write_tensorboard` draws it all.
"""
