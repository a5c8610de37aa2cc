"""`sdlearn` with the tiny recipe known: what tests start as a process, to kill it or to pair it.

SDLEARN_TINY holds JSON: steps, precision, save_every.
"""

import dataclasses
import json
import os
import sys

from tiny_recipe import tiny

from sdlearn import cli
from sdlearn.training import loop, run
from sdlearn.training.recipes import RECIPES

if __name__ == "__main__":
    wish = {"steps": 8, "precision": "no", "save_every": 4} | json.loads(
        os.environ.get("SDLEARN_TINY", "{}")
    )
    plans = tiny().plans
    RECIPES["tiny"] = tiny(
        plans={n: dataclasses.replace(p, steps=wish["steps"]) for n, p in plans.items()}
    )
    run._precision = lambda processes: wish["precision"]
    loop.train.__kwdefaults__["save_every"] = wish["save_every"]
    sys.exit(cli.main())
