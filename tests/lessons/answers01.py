"""Lesson 01: what learners may answer, rightly and wrongly. `test_exercises.py` holds it."""

import numpy as np
import torch


def latents_shown(steps, guidance_scale):
    """One answer is enough where the scale takes it as it is."""
    if guidance_scale == 0 or guidance_scale == 1:
        return steps
    return 2 * steps


SOLUTIONS = {
    "1.1": {"noise", "schedule"},
    "1.2": 384 * 640 * 3 / 48,
    "1.3": latents_shown,
    "1.4": ["seed", "guidance", "prompt", "steps"],
}

# Other ways to write the same: a learner must not be refused for a spelling.
SPELLINGS = {
    "1.1": [["schedule", "noise"], ("noise", "schedule"), {"Noise", " schedule "}],
    "1.2": [15360, 4 * 48 * 80, 15360.0, np.int64(15360), torch.zeros(4, 48, 80).numel()],
    "1.3": [
        lambda steps, scale: steps + steps * (scale not in (0, 1)),
        lambda steps, scale: float(latents_shown(steps, scale)),
        lambda steps, scale: torch.tensor(latents_shown(steps, scale)),
        lambda steps, scale: np.int64(latents_shown(steps, scale)),
    ],
    "1.4": [("seed", "guidance", "prompt", "steps"), ["Seed", "Guidance", "Prompt", " Steps"]],
}

# Wrong answers that are no known mistake: they must be refused, and not misdiagnosed.
UNKNOWN = {
    "1.1": [{"picture"}, {"tokens", "embeddings"}, "latent"],
    "1.2": [1024, 0, 48],
    "1.3": [lambda steps, scale: 3 * steps, lambda steps, scale: 50],
    "1.4": [["steps", "prompt", "guidance", "seed"], ["seed", "seed", "seed", "seed"], ["seed"]],
}

SECRETS = {
    "1.1": ["noise and schedule", "noise and the schedule", "schedule and the noise"],
    "1.2": ["15360", "15,360", "48 x 80", "48x80", "48 * 80"],
    "1.3": ["(0, 1)", "2 * steps", "steps * 2"],
    "1.4": ["seed, guidance, prompt, steps"],
}

# What the lesson must not print from its exercises on: the answers.
NOT_PRINTED = (
    r"15,?360|4 ?[x*] ?48 ?[x*] ?80"
    r'|\{"noise", "schedule"\}|\{"schedule", "noise"\}|"seed", "guidance", "prompt"'
)
