"""The steward of a real site: one long-lived process that owns data, policy, ledger and model code.

Flower's processes beside it only carry messages: they reach it over a Unix socket in the site's own folder.
"""
