"""From exam and assessment to a verified draft report."""
