"""Training at one site, with and without differential privacy, and the making of the base checkpoint."""
