"""The demo: a small box office to protect, and a crowd that really joins, waits, claims and buys."""
