"""How the pocket family is trained: one recipe for each model, a few stages, one loop.

    sdlearn train pocket-sd15                                  # all that is still to do
    accelerate launch --multi_gpu -m sdlearn train pocket-sd15     # the same on several GPUs
    torchrun --nproc_per_node 2 -m sdlearn train pocket-sd15       # on several processors
    sdlearn train pocket-sd15 --export my-model                # a folder that diffusers loads
    sdlearn eval my-model                                      # does it draw what it was asked?

The stages follow the order in which Stable Diffusion's parts were made: a tokenizer, a pair of
encoders that brings captions and pictures together (CLIP; three more stages teach its halves what
the pair doesn't learn by itself: `text`, `sides`, `sight`), an autoencoder (VAE), and, with those
frozen, the U-Net. The later generations take what they share and train the rest: a reader of
their own, a U-Net; SDXL's grows from small pictures to large ones, and the first generation's and
the second's teach each other. Read in this order: `plans` and `recipes`, `pictures`, `loop`, then
the stages (`tokenizer`, `clip` with `meeting`, `halves`, `vae`, `unet` with `reading`, `latents`
and `frames`, `taught`) and the `workshop` that hands one what the other made, `export` with
`folders`, `pocketeval`, `conditioning`, and `sharing`, by which several processes share an
examination.
"""
