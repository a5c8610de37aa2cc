"""How a latent is looked at: by the model's decoder, or by a small matrix that a trace carries."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from PIL import Image
from torch import Tensor


@runtime_checkable
class Look(Protocol):
    """Turns a latent, shape ``[1, C, h, w]`` or ``[C, h, w]``, into a picture."""

    def image(self, latent: Tensor) -> Image.Image:
        """Decodes the latent, as the model itself does."""
        ...

    def preview(self, latent: Tensor) -> Image.Image:
        """Returns a quick, small look: one pixel for each place of the latent."""
        ...


class MatrixLook:
    """Sees with a matrix alone: what a trace that was loaded without its model can still show.

    Args:
        matrix: Shape ``[C, 3]`` or ``[C + 1, 3]``: each channel's share of red, green and blue,
            and perhaps a constant. Colours run from -1 to 1.
    """

    def __init__(self, matrix: Tensor | None = None) -> None:
        self.matrix = None if matrix is None else checked_matrix(matrix)

    def image(self, latent: Tensor) -> Image.Image:
        """Says what is missing: decoding takes the model."""
        raise ValueError(
            "this trace came without its model, and a latent is decoded by the model. "
            "Use step.preview(...), or load it with Trace.load(path, model=model)."
        )

    def preview(self, latent: Tensor) -> Image.Image:
        """Returns the latent's channels mixed to colours."""
        if self.matrix is None:
            raise ValueError(
                "this trace has neither its model nor a preview matrix, so a latent can't be "
                "shown. Load it with Trace.load(path, model=model)."
            )
        if latent.ndim == 4:
            latent = latent[0]
        channels = len(latent)
        if len(self.matrix) - channels not in (0, 1):
            raise ValueError(
                f"the preview matrix has {len(self.matrix)} rows, so it fits a latent of that "
                f"many channels or of one less; this one has {channels}."
            )
        matrix = self.matrix.to(latent.device)
        colours = latent.float().permute(1, 2, 0) @ matrix[:channels]  # [h, w, 3]
        if len(matrix) > channels:
            colours = colours + matrix[channels]
        pixels = ((colours + 1) * 127.5).round().clamp(0, 255)
        return Image.fromarray(pixels.byte().cpu().numpy())


def checked_matrix(matrix: object) -> Tensor:
    """Returns `matrix` as float32 if it can be a preview matrix."""
    if not isinstance(matrix, Tensor) or matrix.ndim != 2 or matrix.shape[1] != 3:
        got = tuple(matrix.shape) if isinstance(matrix, Tensor) else type(matrix).__name__
        raise ValueError(
            "preview_matrix must be a tensor of shape [C, 3] or [C + 1, 3], a row for each "
            f"channel and perhaps one for a constant, got {got}."
        )
    return matrix.detach().float()
