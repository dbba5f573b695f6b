"""One reading of a study: what the reader did to it, and what follows from that. Knows no page."""
