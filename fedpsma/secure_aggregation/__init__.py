"""Secure aggregation (Bonawitz et al. 2017, doi 10.1145/3133956.3133982): the server learns a sum, not its parts.

What sites and server share: the messages, the fixed-point ring, the masks, the secret sharing and the pinned keys.
"""
