"""Waiting for what must come: a wait ends with its condition, and only a test that fails waits to the end."""

import time

# Long enough for a machine that is busy with something else, in seconds.
PATIENCE = 60

# Between two looks, in seconds.
PAUSE = 0.02


def eventually(what, look, state=lambda: ""):
    """Looks until there is something (neither None nor False), and returns it. `state` tells a failing test how
    things stand instead."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s; instead: {state()}"
        time.sleep(PAUSE)
