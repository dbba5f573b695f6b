"""Pictures for reading and reports: projections with numbered lesions, and key slices."""
