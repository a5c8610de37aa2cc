"""One thread, so that sums are rounded alike; and diffusers' own warnings are its own affair."""

import warnings

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def theirs_are_quiet():
    """NumPy's deprecations in diffusers' schedulers: thousands a run."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", category=DeprecationWarning, module=r"(diffusers|numpy)\."
        )
        yield
