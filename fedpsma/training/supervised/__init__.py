"""Supervised training without differential privacy: pooled over data sets, or at one site."""
