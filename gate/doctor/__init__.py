"""Checks, from the outside, that a deployment would work on the night; nothing here is part of a running gate."""
