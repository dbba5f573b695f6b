"""Ways to bound what one patient adds to a step."""
