"""Synthetic whole-body PET/CT patients: anatomy, biodistribution, lesions and mimics, scanner, cohort.

Everything is drawn first (frozen parameters from a seeded generator) and applied afterwards, so that a patient is the
same wherever and whenever it is made. The parametric body uses no voxel of a real person: its shapes are our own,
their sizes follow published or measured statistics, each with its source in ``data/``. A later scan of a patient is
drawn from the one before. Report, stage and exam of a scan follow from its truth.
"""
