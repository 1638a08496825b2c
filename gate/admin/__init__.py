"""Operator-facing: its own listener, closed unless a token is shown."""
