"""Settings for all tests: random tests are repeatable, and nothing reaches for the network."""

import os

from hypothesis import settings

from tests.browsing import browser, opened  # noqa: F401  (fixtures of all tests)

# The Hugging Face libraries look for updates and files on the Hub unless they are told not to.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

# "repeatable": the same examples every time. HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
