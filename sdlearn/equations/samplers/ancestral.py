"""DDPM and DDIM: estimate the picture, then take back only a part of the noise."""

from __future__ import annotations

from torch import Tensor

from sdlearn.equations import _checks, noising, predictions
from sdlearn.equations._checks import Coefficient, sqrt

VARIANCES = ("small", "large")


def ddpm_step(
    xt: Tensor,
    eps: Tensor,
    alpha_bar: Coefficient,
    alpha_bar_next: Coefficient,
    noise: Tensor | None = None,
    *,
    variance: str = "small",
    x0_hat: Tensor | None = None,
) -> Tensor:
    """One step back along the Markov chain (DDPM, arXiv:2006.11239, algorithm 2).

    Args:
        xt: The noisy sample.
        eps: The predicted noise, of the same shape.
        alpha_bar: Noise level of xt.
        alpha_bar_next: Noise level to arrive at, nearer to 1; 1 is the clean sample.
        noise: Fresh standard normal noise; None takes the mean, as the very last step does.
        variance: ``small`` is the posterior's own, ``large`` is beta (both in section 3.2).
        x0_hat: The picture's estimate, if it is known already: clipped, or the answer of a
            network that predicts x0 or v, which can be asked even at alpha_bar = 0.

    Returns:
        x_next, of the same shape.
    """
    _checks.choice("variance", variance, VARIANCES)
    alpha_bar, alpha_bar_next, x0_hat = _start(xt, eps, alpha_bar, alpha_bar_next, x0_hat)
    mean, small = noising.posterior(x0_hat, xt, alpha_bar, alpha_bar_next)  # DDPM, eq. 7
    if noise is None:
        return mean
    _checks.like("noise", noise, "xt", xt)
    large = 1 - alpha_bar / alpha_bar_next  # beta
    return mean + sqrt(small if variance == "small" else large) * noise


def ddim_step(
    xt: Tensor,
    eps: Tensor,
    alpha_bar: Coefficient,
    alpha_bar_next: Coefficient,
    eta: float = 0.0,
    noise: Tensor | None = None,
    *,
    x0_hat: Tensor | None = None,
) -> Tensor:
    """One step to any less noisy level, far ahead if need be (DDIM, arXiv:2010.02502).

    Args:
        xt: The noisy sample.
        eps: The predicted noise, of the same shape.
        alpha_bar: Noise level of xt.
        alpha_bar_next: Noise level to arrive at, nearer to 1; 1 is the clean sample.
        eta: How much fresh noise: 0 is deterministic, 1 is DDPM.
        noise: Standard normal noise, needed when eta is above 0.
        x0_hat: The picture's estimate, if it is known already: clipped, or the answer of a
            network that predicts x0 or v, which can be asked even at alpha_bar = 0.

    Returns:
        x_next, of the same shape.
    """
    alpha_bar, alpha_bar_next, x0_hat = _start(xt, eps, alpha_bar, alpha_bar_next, x0_hat)
    eta = _checks.number("eta", eta, low=0.0)
    if eta > 0 and noise is None:
        raise ValueError(
            f"noise is missing: eta={eta:g} adds fresh noise. Pass noise=torch.randn_like(xt), or "
            "eta=0 for the deterministic step."
        )
    small = (1 - alpha_bar_next) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_next)
    noise_std = eta * sqrt(small)  # DDIM, eq. 16
    rest = 1 - alpha_bar_next - noise_std**2
    if not _checks.everywhere(rest >= -1e-6):  # float32 rounds
        raise ValueError(
            f"eta={eta:g} asks for more fresh noise than the next level holds. Use eta up to 1."
        )
    rest = max(rest, 0.0) if isinstance(rest, float) else rest.clamp(min=0)
    x_next = sqrt(alpha_bar_next) * x0_hat + sqrt(rest) * eps  # DDIM, eq. 12
    if eta == 0:
        return x_next
    _checks.like("noise", noise, "xt", xt)
    return x_next + noise_std * noise


def ddim_inversion_step(
    xt: Tensor, eps: Tensor, alpha_bar: Coefficient, alpha_bar_noisier: Coefficient
) -> Tensor:
    """DDIM run backwards: from a picture to the noise that would draw it.

    The same formula, aimed at a noisier level; it assumes that eps hardly changes on the way
    ("Diffusion Models Beat GANs", arXiv:2105.05233, appendix F).

    Args:
        xt: The sample so far.
        eps: The noise predicted for it.
        alpha_bar: Its noise level.
        alpha_bar_noisier: The level to arrive at, nearer to 0.
    """
    _checks.like("eps", eps, "xt", _checks.sample("xt", xt))
    alpha_bar = _checks.alpha_bar(alpha_bar, xt, positive=True)
    alpha_bar_noisier = _checks.alpha_bar(alpha_bar_noisier, xt, "alpha_bar_noisier")
    if not _checks.everywhere(alpha_bar_noisier <= alpha_bar):
        raise ValueError(
            "alpha_bar_noisier must not be above alpha_bar "
            f"({_checks.shown(alpha_bar_noisier)} > {_checks.shown(alpha_bar)}): inversion adds "
            "noise. For the way back use ddim_step."
        )
    x0_hat = predictions.x0_from_eps(xt, eps, alpha_bar)
    return noising.add_noise(x0_hat, eps, alpha_bar_noisier)  # DDIM, eq. 12 with eta = 0


def _start(
    xt: Tensor,
    eps: Tensor,
    alpha_bar: Coefficient,
    alpha_bar_next: Coefficient,
    x0_hat: Tensor | None,
) -> tuple[Coefficient, Coefficient, Tensor]:
    """Check a step's arguments, and estimate the picture unless that was done before."""
    _checks.like("eps", eps, "xt", _checks.sample("xt", xt))
    known = x0_hat is not None
    now, nxt = noising.falling_noise(alpha_bar, alpha_bar_next, xt, positive=not known)
    if known:
        return now, nxt, _checks.like("x0_hat", x0_hat, "xt", xt)
    return now, nxt, predictions.x0_from_eps(xt, eps, now)
