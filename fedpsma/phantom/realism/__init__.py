"""How well synthetic patients resemble real ones: uptake, noise, lesions, recovery, anatomy, a classifier, cost."""

from fedpsma.phantom.realism.audit import RealismOptions, measure_realism
from fedpsma.phantom.realism.report import RealismReport
from fedpsma.phantom.realism.table import realism_table, summary

__all__ = ["RealismOptions", "RealismReport", "measure_realism", "realism_table", "summary"]
