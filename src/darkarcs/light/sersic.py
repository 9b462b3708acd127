r"""Elliptical Sersic profile.

.. math::
    I(R) = I_e \exp\{-b_n [(R / R_e)^{1/n} - 1]\}, \qquad R^2 = q x^2 + y^2 / q

in the frame of the major axis, so that the half-light radius is circularised and neither it nor
the flux depends on the axis ratio.

References
----------
.. [1] Sersic 1963, Boletin de la Asociacion Argentina de Astronomia 6, 41.
.. [2] Ciotti & Bertin 1999, A&A 352, 447, eq. 18.
"""

from __future__ import annotations

import torch
from torch import Tensor

from darkarcs.kernels import Method, misfit_of_profile, use_kernel
from darkarcs.light import sersic_kernel


def concentration(sersic_index: Tensor | float) -> Tensor:
    """Compute b_n, for which half of the light lies inside the half-light radius.

    The series of Ciotti & Bertin, eq. 18; its relative error is 4e-4 at n = 0.5, 2.5e-5 at 1 and
    1e-6 at 2.

    Parameters
    ----------
    sersic_index : Tensor or float
        n, from 0.5 (a Gaussian) to about 10.

    Returns
    -------
    Tensor
        b_n, in the shape of ``sersic_index``.

    Examples
    --------
    >>> round(concentration(4.0).item(), 3)
    7.669
    """
    n = torch.as_tensor(sersic_index)
    n = n if n.is_floating_point() else n.to(torch.get_default_dtype())
    return sersic_kernel.concentration_series(n)


def surface_brightness(
    beta_x: Tensor,
    beta_y: Tensor,
    *,
    half_light_radius: Tensor | float,
    sersic_index: Tensor | float,
    amplitude: Tensor | float = 1.0,
    axis_ratio: Tensor | float = 1.0,
    position_angle: Tensor | float = 0.0,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
    method: Method = "auto",
) -> Tensor:
    """Compute the surface brightness.

    Parameters
    ----------
    beta_x, beta_y : Tensor, shape (..., H, W), arcsec
        Positions in the plane of the light.
    half_light_radius : Tensor or float, broadcast, arcsec
        Circularised R_e.
    sersic_index : Tensor or float, broadcast
        n.
    amplitude : Tensor or float, broadcast
        Surface brightness I_e at the half-light radius, in any unit.
    axis_ratio : Tensor or float, broadcast
        Minor over major axis, above 0 and at most 1.
    position_angle : Tensor or float, broadcast, radians
        Of the major axis, from x towards y.
    centre_x, centre_y : Tensor or float, broadcast, arcsec
        Position.
    method : "auto", "torch" or "kernel", default "auto"
        Plain torch, differentiable; a compiled kernel, forward only; or the kernel wherever it
        does the same: on the CPU, in float32, parameters of shape (B, 1, 1) or numbers, without
        derivatives.

    Returns
    -------
    Tensor, shape (..., H, W)
        In the unit of the amplitude.

    Raises
    ------
    ConfigurationError
        If the kernel is demanded and cannot do it.

    Examples
    --------
    >>> surface_brightness(
    ...     torch.tensor(0.3), torch.tensor(0.0), half_light_radius=0.3, sersic_index=1.0
    ... ).item()
    1.0
    """
    shape = (half_light_radius, sersic_index, amplitude, axis_ratio, position_angle)
    place = (centre_x, centre_y)
    misfit = misfit_of_profile(beta_x, beta_y, *shape, *place)
    if use_kernel(method, (beta_x, beta_y, *shape, *place), misfit):
        return sersic_kernel.shine(beta_x, beta_y, *shape, *place)
    dx, dy = beta_x - centre_x, beta_y - centre_y
    angle = torch.as_tensor(position_angle, dtype=dx.dtype, device=dx.device)
    cos, sin = torch.cos(angle), torch.sin(angle)
    major, minor = cos * dx + sin * dy, cos * dy - sin * dx
    squared = (axis_ratio * major**2 + minor**2 / axis_ratio) / half_light_radius**2
    # kept off zero, where the gradient of a fractional power is infinite
    squared = squared.clamp(min=torch.finfo(dx.dtype).tiny)
    index = torch.as_tensor(sersic_index, dtype=dx.dtype, device=dx.device)
    power = torch.exp(torch.log(squared) * (0.5 / index))  # five times faster than torch's pow
    return amplitude * torch.exp(-concentration(index) * (power - 1))


def total_flux(
    *,
    half_light_radius: Tensor | float,
    sersic_index: Tensor | float,
    amplitude: Tensor | float = 1.0,
) -> Tensor:
    """Integrate the profile to infinity.

    Parameters
    ----------
    half_light_radius : Tensor or float, arcsec
        Circularised R_e.
    sersic_index : Tensor or float
        n.
    amplitude : Tensor or float
        Surface brightness I_e at the half-light radius.

    Returns
    -------
    Tensor
        In the unit of the amplitude times arcsec^2.

    Examples
    --------
    >>> round(total_flux(half_light_radius=1.0, sersic_index=1.0).item(), 3)
    11.948
    """
    n = torch.as_tensor(sersic_index)
    n = n if n.is_floating_point() else n.to(torch.get_default_dtype())
    b = concentration(n)
    shape = n * torch.exp(b + torch.lgamma(2 * n) - 2 * n * torch.log(b))
    return 2 * torch.pi * amplitude * half_light_radius**2 * shape
