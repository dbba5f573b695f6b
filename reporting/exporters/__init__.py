"""The report in the formats that hospitals take: one format a module, all through :func:`registry.export`."""
