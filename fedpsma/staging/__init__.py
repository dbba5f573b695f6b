"""Staging by rule: PROMISE miTNM, expression score, PSMA-RADS, RECIP, each decision with its trace.

No clinician has reviewed these rules yet; what the sources leave open is tagged in ``data/rules.json``.
"""

from fedpsma.staging.assess import assess
from fedpsma.staging.options import StagingOptions

__all__ = ["StagingOptions", "assess"]
