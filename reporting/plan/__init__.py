"""From an exam and its assessment to the sentences that a draft will hold."""
