"""The exercises of lesson 01, one prompt, every stage."""

from __future__ import annotations

from sdlearn.lessons.exercises import Exercise, Mistake

STAYS = Exercise(
    id="1.1",
    task=(
        "One word of the sentence changes, the seed and all else stay. Which come out exactly as "
        "before: latent, noise, tokens, picture, schedule, embeddings?"
    ),
    kind="words",
    expected=lambda: {"noise", "schedule"},
    praise=(
        "They know nothing of the sentence: one comes from the seed, the other from the number of "
        "steps. Everything else has heard your words."
    ),
    nudge=(
        "Ask of each of the six: what goes into it? If the sentence does, or something that was "
        "made of the sentence, then it can't stay as it was."
    ),
    stronger_nudge=(
        "Try it: make each of them for two sentences that differ in one word, and compare. Which "
        "of the calls don't even take a sentence?"
    ),
    mistakes=(
        Mistake(
            "only the noise",
            "That is one of them. There is another one that knows nothing of the sentence.",
            "Look at how each of the six is made in this lesson. Which other call takes no prompt?",
            lambda: {"noise"},
        ),
        Mistake(
            "only the schedule",
            "That is one of them. There is another one that knows nothing of the sentence.",
            "Look at how each of the six is made in this lesson. Which other call takes a seed and "
            "no prompt?",
            lambda: {"schedule"},
        ),
        Mistake(
            "what changes, not what stays",
            "Those are the ones that do change. Asked is for what comes out as before.",
            "You have sorted them well. Hand in the other pile.",
            lambda: {"latent", "tokens", "picture", "embeddings"},
        ),
        Mistake(
            "latent taken for its noise",
            "A run begins with the noise of the seed, but the latent is what it ends with.",
            "What has the network been told, in each of the steps between the two?",
            lambda: {"noise", "schedule", "latent"},
        ),
        Mistake(
            "tokens forgotten",
            "There are 77 positions for every sentence, that is true. But what stands in them?",
            "Encode both sentences and look at the column of the ids.",
            lambda: {"noise", "schedule", "tokens"},
        ),
        Mistake(
            "the sentence stops at the tokens",
            "The embeddings are made of the tokens. If the tokens are other ones, so are they.",
            "Draw the bar codes of both sentences, and look at the row of the word that changed.",
            lambda: {"noise", "schedule", "embeddings"},
        ),
    ),
)

HIGH, WIDE, CHANNELS, FACTOR = 384, 640, 4, 8

BROAD = Exercise(
    id="1.2",
    task=f"How many numbers does the latent of a picture hold that is {HIGH} high and {WIDE} wide?",
    kind="number",
    expected=lambda: CHANNELS * (HIGH // FACTOR) * (WIDE // FACTOR),
    tolerance=1e-9,
    praise=(
        "And the network works on these alone, whatever the decoder makes of them later. The share "
        "is the same for every size: try it."
    ),
    nudge=(
        "How many places has the latent from top to bottom, and how many from left to right? And "
        "how many numbers stand at each place?"
    ),
    stronger_nudge=(
        "Look at the last output of stage 7 again: by how much is each side of the latent smaller "
        "than the picture's, and what is the first of its three sizes?"
    ),
    mistakes=(
        Mistake(
            "numbers of the picture",
            "That is what the picture holds. The network works on something much smaller.",
            "Each side of the latent is a fraction of the picture's. Which one?",
            lambda: 3 * HIGH * WIDE,
        ),
        Mistake(
            "channels forgotten",
            "Those are the latent's places. At each of them stands more than one number.",
            "How many channels did the noise have, and how many the latent?",
            lambda: (HIGH // FACTOR) * (WIDE // FACTOR),
        ),
        Mistake(
            "red, green and blue",
            "Colours are the picture's channels. The latent has channels of its own.",
            "Count the grey squares in the figure of stage 7.",
            lambda: 3 * (HIGH // FACTOR) * (WIDE // FACTOR),
        ),
        Mistake(
            "one side only",
            "You have made it smaller along one side. Both sides shrink.",
            "How high is the latent, and how wide? Write down both, then multiply.",
            lambda: CHANNELS * HIGH * WIDE // FACTOR,
        ),
        Mistake(
            "the usual picture",
            "That is the latent of Stable Diffusion's usual picture, 512 high and 512 wide.",
            "Work out the latent's height from the picture's height, and its width from the width.",
            lambda: CHANNELS * (512 // FACTOR) ** 2,
        ),
        Mistake(
            "places for pixels",
            "You have counted four numbers for every pixel. A place stands for many pixels.",
            "How many pixels, along each side, does one place of the latent stand for?",
            lambda: CHANNELS * HIGH * WIDE,
        ),
    ),
)


def _calls(steps: int, guidance_scale: float) -> int:
    """Both halves, unless one of them says it all: stages.guiding.Guidance.halves."""
    return steps * (1 if guidance_scale in (0, 1) else 2)


CALLS = Exercise(
    id="1.3",
    task=(
        "Write latents_shown(steps, guidance_scale): how many latents the network is shown for one "
        "picture; two side by side count as two."
    ),
    kind="function",
    expected=_calls,
    probes=lambda: [(25, 7.5), (50, 3.0), (10, 1.0), (25, 1), (20, 0), (12, 0.5), (7, 15)],
    tolerance=1e-9,
    praise=(
        "So a picture with guidance costs twice as much as one without. Later models learned to do "
        "without: some draw in a single step, and are asked once."
    ),
    nudge=(
        "It fits neither what the counter says nor a mistake that is known here. Let count(...) "
        "tell you the truth for guidance 7.5, 1, 0.5 and 0, two steps each, and compare."
    ),
    stronger_nudge=(
        "Write down what count(...) says for two steps at guidance 7.5, 1, 0.5 and 0: its second "
        "number. What do those have in common where the network is asked less often?"
    ),
    mistakes=(
        Mistake(
            "guidance forgotten",
            "Once in each step: so it would be if nobody compared with the empty sentence.",
            "Look at what the counter said in stage 5: how many latents at a time?",
            lambda steps, guidance_scale: steps,
        ),
        Mistake(
            "always twice",
            "So it is nearly always. But there are scales at which one of the two answers is "
            "not needed.",
            "At guidance 1 one goes exactly as far as the answer with the sentence. What is the "
            "other answer good for then? And at 0?",
            lambda steps, guidance_scale: 2 * steps,
        ),
        Mistake(
            "below 1 is taken for off",
            "At 1 and at 0 one answer is enough, that is right. But in between?",
            "At 0.5 one stops half-way between the two answers. Can one know where that is from a "
            "single one? Let count(...) tell you.",
            lambda steps, guidance_scale: steps * (2 if guidance_scale > 1 else 1),
        ),
        Mistake(
            "0 forgotten",
            "You have found that 1 is special. There is another scale that is.",
            "At guidance 0 nobody looks at the sentence. Would you ask the network about it?",
            lambda steps, guidance_scale: steps * (1 if guidance_scale == 1 else 2),
        ),
        Mistake(
            "1 forgotten",
            "You have found that 0 is special. There is another scale that is.",
            "At which scale is the answer with the sentence taken as it is?",
            lambda steps, guidance_scale: steps * (2 if guidance_scale else 1),
        ),
        Mistake(
            "the scale taken for a count",
            "The scale says how far one goes, not how often one asks.",
            "Two answers make one direction, and one can go in it as far as one likes. How many "
            "answers are that?",
            lambda steps, guidance_scale: steps * guidance_scale,
        ),
    ),
)

DETECTIVE = Exercise(
    id="1.4",
    task=(
        "Name what was changed in each of the four cases, in their order: prompt, seed, steps or "
        "guidance."
    ),
    kind="words",
    expected=lambda: ["seed", "guidance", "prompt", "steps"],
    praise=(
        "Each knob enters at a stage of its own, and leaves all before it untouched. Who knows the "
        "stages can read a run like a book."
    ),
    nudge=(
        "Ask of each case: which is the first thing that differs, and what is it made of? Each of "
        "the four knobs is named once."
    ),
    stronger_nudge=(
        "Draw the four cases yourself: two runs with two or three steps, one thing changed. Then "
        "compare steps[0].xt, tokens, steps[0].t, steps[0].eps_cond and steps[0].eps_uncond."
    ),
    mistakes=(
        Mistake(
            "prompt and guidance swapped",
            "The prompt is asked about at every step. If it is another one, can the network's "
            "answer to it be the same?",
            "eps_cond is the answer with the sentence, eps_uncond the one without. Which of the "
            "two can't know of your prompt? And what comes after both?",
            lambda: ["seed", "prompt", "guidance", "steps"],
        ),
        Mistake(
            "steps and guidance swapped",
            "The stations are laid out before the network is asked for the first time. What lays "
            "them out?",
            "model.schedule(...) makes the timesteps. Which of the four knobs is it given?",
            lambda: ["seed", "steps", "prompt", "guidance"],
        ),
        Mistake(
            "seed and steps swapped",
            "The very first xt is the noise. What does it come from?",
            "model.noise(...) makes the first xt, model.schedule(...) the timesteps. Which knob is "
            "each of them given?",
            lambda: ["steps", "guidance", "prompt", "seed"],
        ),
        Mistake(
            "seed and prompt swapped",
            "The first xt is there before any word is read.",
            "Change one word of a prompt, and compare steps[0].xt of both runs.",
            lambda: ["prompt", "guidance", "seed", "steps"],
        ),
        Mistake(
            "seed and guidance swapped",
            "Guidance comes after the network's two answers. Can it change where a run begins?",
            "In one case everything that goes into the first step is the same, and what comes out "
            "of the network as well. Which knob is left?",
            lambda: ["guidance", "seed", "prompt", "steps"],
        ),
    ),
)

EXERCISES = (STAYS, BROAD, CALLS, DETECTIVE)
