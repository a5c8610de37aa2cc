"""The exercises of lesson 10, image-to-image and inpainting."""

from __future__ import annotations

from sdlearn.lessons.exercises import Exercise

EXERCISES: tuple[Exercise, ...] = ()
