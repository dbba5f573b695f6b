"""One command from nothing to a draft report, on synthetic patients."""
