"""The viewer: an own canvas without a GPU or a library, its volumes, and the route they take."""
