"""Prints as JSON the version of frontrun that this interpreter can run in process mode, or null if it can't."""

import importlib.util
import json
from importlib import metadata

# Its process mode wants these two besides itself: they come with `frontrun[process]`.
NEEDED = ("frontrun", "dill", "sqlglot")

if __name__ == "__main__":
    complete = all(importlib.util.find_spec(name) for name in NEEDED)
    print(json.dumps({"version": metadata.version("frontrun") if complete else None}))
