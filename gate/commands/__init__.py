"""The command line's verbs, one file each; loaded by name, so that a small verb need not import a server."""
