"""The exercises of lesson 01, one prompt, every stage."""

from __future__ import annotations

from sdlearn.lessons.exercises import Exercise

EXERCISES: tuple[Exercise, ...] = ()
