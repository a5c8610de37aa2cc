"""What every model card says, with gaps for what was measured (see `card`)."""

from typing import Any

STAGES = {
    "clip": "text and picture encoder (CLIP)",
    "text": "text encoder, once more, for its words",
    "sides": "text encoder, once more, for left and right",
    "sight": "picture encoder, once more, for what stands where",
    "vae": "autoencoder",
    "decoder": "its decoder alone, once more",
    "unet": "U-Net",
    "grow": "U-Net, on larger pictures",
    "taught": "U-Net, taught by {teacher}",
}

SCORES = {
    "among_100": "a held-out picture finds its caption among 100: {:.1%}",
    "hard": "and among its own with colours or relation swapped: {:.1%}",
    "reads": "a caption finds another wording of itself, and not those swapped ones: {:.1%}",
    "sides": "and itself from the other side (a cat left of a dog: a dog right of a cat): {:.1%}",
    "psnr": "PSNR of held-out pictures, encoded and decoded: {:.1f} dB",
    "psnr_worst_twentieth": "of the worst twentieth of them: {:.1f} dB",
}

ABOUT = """# {name}

A small Stable Diffusion, really trained: the anatomy of {mirrors} in miniature, in diffusers'
format. It draws **Pocket World**, pictures of {size} x {size} pixels that a program can draw,
caption and check, and hardly anything else. It is for teaching, with every part in its place.

**It is not** {mirrors}, nor distilled from it, and knows nothing of photographs. Words that
Pocket World does not have mean nothing to it.

```python
{code}
```
"""

CODE = {
    "StableDiffusionPipeline": """from diffusers import StableDiffusionPipeline

pipe = StableDiffusionPipeline.from_pretrained("{place}", safety_checker=None)
pipe("a big red cat wearing a crown, on the grass", num_inference_steps=25).images[0]""",
    "StableDiffusionXLPipeline": """from diffusers import StableDiffusionXLPipeline

pipe = StableDiffusionXLPipeline.from_pretrained("{place}")
pipe("a big red cat wearing a crown, on the grass", num_inference_steps=25).images[0]""",
    "StableDiffusionXLImg2ImgPipeline": """from diffusers import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)

base = StableDiffusionXLPipeline.from_pretrained("{base}")
refiner = StableDiffusionXLImg2ImgPipeline.from_pretrained("{place}")
told = {{"prompt": "a big red cat wearing a crown, on the grass", "num_inference_steps": 25}}
begun = base(**told, denoising_end=0.8, output_type="latent").images
refiner(**told, image=begun, denoising_start=0.8).images[0]""",
}

SHARED = """## Shared with other models

{parts}. {how}.
"""

FRAMES = """
{count:,} of the scenes were drawn anew{full} with sides of {sides} pixels, enlarged to {size}, and
{cut:.0%} of them cut out of pictures {zoom:g} times as large. The U-Net was told of both{more}.
"""

REFINES = """, and, in place
of the size that a picture has now, of a score: {low:g} for the smallest, {high:g} for the largest.
It learnt at timesteps below {below:,} of {steps:,} only, where there is little noise
"""

OTHERS = "{title}: the last run learnt from other scenes, from number {first:,} to {last:,}."

DATA = """## Data

{pictures:,} scenes of Pocket World, drawn by `sdlearn.world`: {kinds} kinds of things, {colours}
colours, accessories, relations, places, {styles} styles. No picture was collected, and nobody's
work was used. Some combinations (of colour and kind, of accessory and kind, of relation and kinds)
are held out: no training picture shows them. (In words some do occur: among the false captions
that the text encoder learnt to tell from true ones.)
"""

SEES = """The half of a CLIP that Stable Diffusion has no use for: what sees pictures, and what
takes both halves into the space where they meet. What reads captions lies in
`{model}/text_encoder`."""

READS = """A CLIP whose reader {readers} have for a text encoder ({model} reads
with all its layers but the last), and what takes both halves into the space where they meet. What
sees pictures is `{sees}`'s, here by a link: this reader learnt to meet what that sees."""

HALF = """# {name}

{about}

[The card of {model}]({card}) says on what the pair was trained, for how long, and how well
captions and pictures find each other.

```python
from sdlearn.models import clip

pair = clip.load("{model}")
pair.similarity([picture], ["a red cat", "a blue boat"])  # cosines, [pictures, captions]
```
"""

LICENCE = """## Licence

The weights are in the public domain (CC0 1.0).
"""


def taught(teacher: dict[str, Any]) -> str:
    """What a recipe's teacher was heard on.

    Args:
        teacher: Of the plan, as the record holds it.
    """
    where = f"noisy timesteps (from {teacher['full']} on; none below {teacher['begin']})"
    if teacher.get("fade") is not None:
        where = (
            f"timesteps in between (from {teacher['full']} to {teacher['fade']}; none below "
            f"{teacher['begin']}, none above {teacher['end']})"
        )
    return (
        f"Where it was taught, {teacher['share']:.0%} of the target at {where} was what "
        f"{teacher['name']} made of the same latents."
    )
