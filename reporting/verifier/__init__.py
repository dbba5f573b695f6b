"""Re-reads a rendered report with its own parser and compares it with the exam and its assessment.

Nothing here knows how reports are written: it imports no phrase, no plan and no renderer.
"""
