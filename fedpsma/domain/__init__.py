"""The nouns of PSMA-PET/CT reading. Imports nothing else of fedpsma."""
