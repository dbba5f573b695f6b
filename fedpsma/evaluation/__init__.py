"""How good a model is: segmentation and detection scores, each with the interval that patients as a unit give."""
