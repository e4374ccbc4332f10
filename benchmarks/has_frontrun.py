"""Print which frontrun this interpreter can run in process mode, as JSON; null where it cannot."""

import importlib.util
import json
from importlib import metadata

# Its process mode wants these two besides itself: they come with `frontrun[process]`.
NEEDED = ("frontrun", "dill", "sqlglot")

if __name__ == "__main__":
    complete = all(importlib.util.find_spec(name) for name in NEEDED)
    print(json.dumps({"version": metadata.version("frontrun") if complete else None}))
