"""Synthetic whole-body PET/CT patients: anatomy, biodistribution, lesions and mimics, scanner, cohort.

Everything is drawn first (frozen parameters from a seeded generator) and applied afterwards, so that a patient is the
same wherever and whenever it is made. No voxel of a real person is used: the shapes are our own, their sizes follow
published or measured statistics, each with its source in ``data/``.
"""
