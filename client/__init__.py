"""The site: Flower ClientApp, the site's worker and its privacy ledger."""
