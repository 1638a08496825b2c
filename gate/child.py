"""How a process of ours starts another one: the same Python, the same places to import from, and no other.

`python -m` would look into the current directory first, where anybody's `secrets.py` may lie.
"""

import sys


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours."""
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; import runpy; "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-P", "-c", program, *arguments]
