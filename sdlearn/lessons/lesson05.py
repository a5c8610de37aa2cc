"""The exercises of lesson 05, latent space."""

from __future__ import annotations

from sdlearn.lessons.exercises import Exercise

EXERCISES: tuple[Exercise, ...] = ()
