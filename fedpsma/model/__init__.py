"""The lesion network: its architecture, its input, its losses, whole-body inference and checkpoints."""
