"""A model whose pictures mean nothing, for figures and widgets of its runs."""

import pytest

import sdlearn as sd
from tests import tiny


@pytest.fixture(scope="session")
def model():
    return sd.wrap(tiny.pipeline("sd1"))
