"""The exercises of lesson 06, words into numbers."""

from __future__ import annotations

from sdlearn.lessons.exercises import Exercise

EXERCISES: tuple[Exercise, ...] = ()
