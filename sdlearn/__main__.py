"""`python -m sdlearn`, the same as `sdlearn`: what `accelerate launch -m sdlearn` starts."""

import sys

from sdlearn.cli import main

if __name__ == "__main__":  # worker processes import this file again
    sys.exit(main())
