"""The site: Flower ClientApp, the site's worker and its privacy ledger."""

from fedpsma.beside import installed

__path__.append(installed("client"))
