"""How good drafts are: synthetic exams, what is counted in their text, and the table of the protocol."""
