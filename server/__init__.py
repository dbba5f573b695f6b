"""The coordinator: Flower ServerApp, round loop, aggregation, simulation engines."""
