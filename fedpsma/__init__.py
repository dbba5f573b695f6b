"""PSMA-PET/CT: lesion models that hospitals train together, staging by rules, and what a report needs."""

__version__ = "0.1.0"
