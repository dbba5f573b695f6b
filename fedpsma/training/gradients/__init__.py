"""One gradient a patient: all patients at once through grouped layers, or one after the other."""
