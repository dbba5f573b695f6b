"""Synthetic examples that ship with the demo, and how the analysed one is made (``python -m demo.examples``)."""
