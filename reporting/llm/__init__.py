"""The optional language model: it words what the rules decided, and never sees a patient's text.

Only :mod:`reporting.llm.store`, :mod:`reporting.llm.health` and :mod:`reporting.llm.commands` are light; the others
import torch.
"""
