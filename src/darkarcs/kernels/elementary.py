"""Elementary functions in float32 that compiled loops call and LLVM vectorises.

Those of the C library it does not. Constants and ranges are those of the Cephes library's
``logf``, ``expf`` and ``atanf``; errors stay within a few units of the last place of the result,
or of one where the result is smaller. A change here reaches a loop that is already compiled only
when the file of that loop changes, too (see `darkarcs.kernels.compilation`).

References
----------
.. [1] Moshier, Methods and Programs for Mathematical Functions, 1989 (netlib.org/cephes).
"""

from __future__ import annotations

import numpy as np

from darkarcs.kernels.compilation import inlined

_ONE, _HALF = np.float32(1), np.float32(0.5)

#: Bits of a float32: where the exponent starts, the fraction, and those of the square root of 1/2.
_FRACTION_BITS, _FRACTION = np.uint32(23), np.uint32(2**23 - 1)
_ROOT_HALF = np.uint32(0x3F3504F3)
_SIGNED_FRACTION_BITS = np.int32(23)

_LN_2, _LOG2_E = np.float32(np.log(2)), np.float32(1 / np.log(2))
_L2, _L3, _L4, _L5, _L6, _L7, _L8, _L9, _L10 = (
    np.float32(value)
    for value in (
        *(3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1),
        *(-1.2420140846e-1, 1.1676998740e-1, -1.1514610310e-1, 7.0376836292e-2),
    )
)

#: Where the result of `exp` is still a normal number, the bias of its exponent, and a half more.
_LOWEST, _HIGHEST = np.float32(-87), np.float32(88)
_BIAS, _BIAS_AND_HALF = np.int32(127), np.float32(127.5)
_E2, _E3, _E4, _E5, _E6, _E7 = (
    np.float32(value)
    for value in (
        *(5.0000001201e-1, 1.6666665459e-1, 4.1665795894e-2),
        *(8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4),
    )
)

_TAN_EIGHTH = np.float32(np.tan(np.pi / 8))
_QUARTER, _RIGHT_ANGLE = np.float32(np.pi / 4), np.float32(np.pi / 2)
_A3, _A5 = np.float32(-3.33329491539e-1), np.float32(1.99777106478e-1)
_A7, _A9 = np.float32(-1.38776856032e-1), np.float32(8.05374449538e-2)


@inlined
def log(x: np.float32) -> np.float32:
    """Compute the natural logarithm.

    Parameters
    ----------
    x : float32
        A normal number above zero; for others, NaN included, the result is finite and arbitrary.

    Returns
    -------
    float32
        The logarithm.

    Examples
    --------
    >>> f"{log(np.float32(10)):.5f}"
    '2.30259'
    """
    bits = np.uint32(np.float32(x).view(np.uint32) - _ROOT_HALF)
    exponent = np.float32(np.int32(bits) >> _SIGNED_FRACTION_BITS)
    m = np.uint32(np.uint32(bits & _FRACTION) + _ROOT_HALF).view(np.float32) - _ONE
    tail = (((_L10 * m + _L9) * m + _L8) * m + _L7) * m + _L6
    tail = (((tail * m + _L5) * m + _L4) * m + _L3) * m + _L2
    squared = m * m
    return np.float32((m + (tail * m * squared - _HALF * squared)) + exponent * _LN_2)


@inlined
def exp(x: np.float32) -> np.float32:
    """Compute the exponential.

    Parameters
    ----------
    x : float32
        Taken as the nearest number from -87 to 88; for NaN the result is arbitrary.

    Returns
    -------
    float32
        The exponential.

    Examples
    --------
    >>> f"{exp(np.float32(2)):.5f}"
    '7.38906'
    """
    x = min(max(x, _LOWEST), _HIGHEST)
    exponent = np.int32(x * _LOG2_E + _BIAS_AND_HALF)
    r = x - np.float32(exponent - _BIAS) * _LN_2
    tail = ((((_E7 * r + _E6) * r + _E5) * r + _E4) * r + _E3) * r + _E2
    power = np.uint32(np.uint32(exponent) << _FRACTION_BITS).view(np.float32)
    return np.float32((tail * r * r + r + _ONE) * power)


@inlined
def arctan_of_ratio(above: np.float32, below: np.float32) -> np.float32:
    """Compute the angle whose tangent is a ratio.

    Parameters
    ----------
    above, below : float32
        Not negative, and not both zero.

    Returns
    -------
    float32
        From 0 to pi / 2.

    Examples
    --------
    >>> f"{arctan_of_ratio(np.float32(3), np.float32(1)):.5f}"
    '1.24905'
    """
    small, large = min(above, below), max(above, below)
    far = small > _TAN_EIGHTH * large
    t = (small - large if far else small) / (small + large if far else large)
    squared = t * t
    angle = (((_A9 * squared + _A7) * squared + _A5) * squared + _A3) * squared * t + t
    angle = angle + _QUARTER if far else angle
    return np.float32(_RIGHT_ANGLE - angle if above > below else angle)
