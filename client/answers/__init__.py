"""What a site tells beside weights: statistics before training, figures after it, and what it told before."""
