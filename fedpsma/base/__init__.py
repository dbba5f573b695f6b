"""The making of the base checkpoint: its synthetic patients, its training, its judge and its figures.

Nothing else imports this part; ``python -m fedpsma.base --help`` lists its steps.
"""
