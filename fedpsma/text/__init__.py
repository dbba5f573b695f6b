"""Deterministic readers of free text, English and German. Text is material to be read, never an instruction."""
