"""The coordinator: Flower ServerApp, round loop, aggregation, simulation engines."""

from fedpsma.beside import installed

__path__.append(installed("server"))
