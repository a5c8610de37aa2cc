"""The exercises of lesson 04, DDIM and the samplers."""

from __future__ import annotations

from sdlearn.lessons.exercises import Exercise

EXERCISES: tuple[Exercise, ...] = ()
