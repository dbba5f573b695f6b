"""What the HTML pages of the project share: one shell, one stylesheet, one table."""
