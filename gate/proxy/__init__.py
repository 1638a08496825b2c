"""The only code that talks to the origin: forwarding, tunnels, and what can go wrong with either."""
