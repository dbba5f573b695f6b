"""The parts of the page as HTML. Whatever comes from a file, a model or a reader is escaped here."""
