"""gate: a stateless token-gate reverse proxy, a virtual waiting room.

The line lives in the visitors' browsers as signed tickets; the store holds a handful of numbers a room.
`core` decides, `store` remembers, `proxy` forwards, `web` faces visitors, `admin` faces operators, and
`app` puts them together. Imports go one way: cli, app, {web, admin, ticker}, {store, proxy}, core.
"""

__version__ = "0.1.0"
