"""Steps of models that were trained for few, long steps: LCM, and rectified flow."""

from __future__ import annotations

from torch import Tensor

from sdlearn.equations import _checks, noising
from sdlearn.equations._checks import Coefficient


def lcm_step(
    xt: Tensor,
    x0_hat: Tensor,
    t: float,
    alpha_bar_next: Coefficient,
    noise: Tensor | None = None,
    *,
    timestep_scaling: float = 10.0,
    sigma_data: float = 0.5,
) -> Tensor:
    """Jump to the picture, then throw it back to the next noise level (arXiv:2310.04378).

    Args:
        xt: The noisy sample.
        x0_hat: The picture's estimate, of the same shape.
        t: The training timestep of xt.
        alpha_bar_next: Noise level of the next call.
        noise: Fresh standard normal noise; None on the last step, which keeps the picture.
        timestep_scaling: Stretches t in the boundary condition.
        sigma_data: The boundary condition's constant (Consistency Models, 2303.01469, app. C).
    """
    _checks.like("x0_hat", x0_hat, "xt", _checks.sample("xt", xt))
    t = _checks.number("t", t, low=0.0)
    _checks.number("timestep_scaling", timestep_scaling, low=0.0, open_low=True)
    _checks.number("sigma_data", sigma_data, low=0.0, open_low=True)
    alpha_bar_next = _checks.alpha_bar(alpha_bar_next, xt, "alpha_bar_next")
    time = t * timestep_scaling
    c_skip = sigma_data**2 / (time**2 + sigma_data**2)  # 1 at t = 0: there the answer is xt
    c_out = time / (time**2 + sigma_data**2) ** 0.5
    picture = c_out * x0_hat + c_skip * xt
    return picture if noise is None else noising.add_noise(picture, noise, alpha_bar_next)


def flow_euler_step(
    x_flow: Tensor, velocity: Tensor, flow_time: Coefficient, flow_time_next: Coefficient
) -> Tensor:
    """Follow the velocity in a straight line (Rectified Flow, 2209.03003; SD 3, 2403.03206).

    Args:
        x_flow: The sample on its way, ``(1 - flow_time) * x0 + flow_time * eps``.
        velocity: The predicted ``eps - x0``, of the same shape.
        flow_time: Where it is: 1 is noise, 0 is the picture.
        flow_time_next: Where to go.
    """
    _checks.like("velocity", velocity, "x_flow", _checks.sample("x_flow", x_flow))
    now = _checks.coefficient("flow_time", flow_time, x_flow, low=0.0, high=1.0)
    nxt = _checks.coefficient("flow_time_next", flow_time_next, x_flow, low=0.0, high=1.0)
    return x_flow + (nxt - now) * velocity
