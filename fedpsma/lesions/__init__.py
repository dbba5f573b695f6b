"""From voxel probabilities to a table of lesions: candidates, contours, quantities, references, sides and regions."""
