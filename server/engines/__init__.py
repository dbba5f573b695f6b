"""The ways to run the one ServerApp and the one ClientApp on one machine; all give the same weights bit for bit."""
