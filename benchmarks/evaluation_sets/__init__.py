"""Synthetic evaluation sets that others can run: exams, reports with one seeded error, prior reports, attacks."""
