"""Widgets: what a notebook, and the book without a kernel, can play with.

Each is a small ES module beside its Python file; the data is packed once and lies in the page, so
that dragging a slider asks nobody.
"""

from sdlearn.views.widgets.conditioning import ConditioningExplorer, conditioning
from sdlearn.views.widgets.explorer import TraceExplorer, explore
from sdlearn.views.widgets.family import FamilyExplorer, family
from sdlearn.views.widgets.generation import GenerationExplorer, generation
from sdlearn.views.widgets.latent import LatentExplorer, latent
from sdlearn.views.widgets.mixture import MixturePlayground, mixture
from sdlearn.views.widgets.noise import NoiseExplorer, noise
from sdlearn.views.widgets.prompt import PromptExplorer, prompt

__all__ = [
    "ConditioningExplorer",
    "FamilyExplorer",
    "GenerationExplorer",
    "LatentExplorer",
    "MixturePlayground",
    "NoiseExplorer",
    "PromptExplorer",
    "TraceExplorer",
    "conditioning",
    "explore",
    "family",
    "generation",
    "latent",
    "mixture",
    "noise",
    "prompt",
]
