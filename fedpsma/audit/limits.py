"""What differential privacy allows a membership attack at most.

An attack tells with false positive rate a and false negative rate b whether a patient was trained on. Of an (epsilon,
delta)-private model b >= max(1 - delta - e^epsilon a, e^-epsilon (1 - delta - a), 0) for every attack (Kairouz, Oh,
Viswanath 2015, arXiv 1311.0776).
"""

from __future__ import annotations

import math


def advantage_limit(epsilon: float, delta: float) -> float:
    """Return the largest true minus false positive rate of any attack.

    Example:
        >>> advantage_limit(0.0, 0.0), advantage_limit(math.inf, 0.0)
        (0.0, 1.0)
    """
    return 1 - 2 * _corner(epsilon, delta)


def auc_limit(epsilon: float, delta: float) -> float:
    """Return the largest area under the ROC curve of any attack: one less the area under the two lines.

    Example:
        >>> auc_limit(0.0, 0.0), round(auc_limit(1.0, 0.0), 3)
        (0.5, 0.731)
    """
    return 1 - (1 - delta) * _corner(epsilon, delta)


def _corner(epsilon: float, delta: float) -> float:
    """Return the rate at which both error rates are equal, where the two lines meet."""
    return (1 - delta) * math.exp(-epsilon) / (1 + math.exp(-epsilon))
