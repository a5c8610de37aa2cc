"""What a run leaves behind: frozen records, maps of words, and files that keep them.

A trace holds every step of a run, where every word looked, and the picture. It knows no model:
whatever it shows is computed from what was recorded, so it can be saved, sent and read elsewhere.

    >>> trace.steps[3].x0                     # what step 3 aimed at
    >>> trace.attention["cat"].mean().overlay(trace.image)
    >>> trace.save("run.safetensors")
    >>> trace.diff(other)                     # where two runs part ways
"""

from __future__ import annotations

from sdlearn.trace.diff import Apart, Difference
from sdlearn.trace.layers import Layer
from sdlearn.trace.look import Look, MatrixLook
from sdlearn.trace.maps import Attention
from sdlearn.trace.memory import Cost
from sdlearn.trace.recording import Record
from sdlearn.trace.records import Step
from sdlearn.trace.tokens import Token, Tokens
from sdlearn.trace.trace import Trace
from sdlearn.trace.wordmap import WordMap
from sdlearn.trace.words import Word, WordNotFound, Words

__all__ = [
    "Apart",
    "Attention",
    "Cost",
    "Difference",
    "Layer",
    "Look",
    "MatrixLook",
    "Record",
    "Step",
    "Token",
    "Tokens",
    "Trace",
    "Word",
    "WordMap",
    "WordNotFound",
    "Words",
]
