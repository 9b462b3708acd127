"""Whether a learning curve has levelled off."""

from __future__ import annotations

from collections.abc import Sequence


def has_converged(
    validation_auc: Sequence[float], *, tail: float = 0.25, tolerance: float = 0.1
) -> bool:
    """Tell whether validation AUC had levelled off before the run ended.

    The last quarter of the epochs must not have lowered ``1 - AUC``, the share of wrongly
    ordered pairs, by more than a tenth of what it was at its best before; a gain of 0.0005 in
    AUC is never counted, since a validation split of a few hundred images cannot resolve it.

    Parameters
    ----------
    validation_auc : sequence of float
        One an epoch.
    tail : float, default 0.25
        Share of the epochs that must not have brought a gain.
    tolerance : float, default 0.1
        Relative fall of ``1 - AUC`` that counts as one.

    Returns
    -------
    bool
        False for runs of fewer than four epochs, which show no plateau.

    Examples
    --------
    >>> has_converged([0.7, 0.9, 0.95, 0.951, 0.9511, 0.951, 0.9512, 0.951])
    True
    >>> has_converged([0.6, 0.7, 0.8, 0.9])
    False
    """
    if len(validation_auc) < 4:
        return False
    early, late = _divide(validation_auc, tail)
    before, after = max(early), max(late)
    return bool(after - before <= max(tolerance * (1 - before), 5e-4))


def loss_has_converged(
    validation_loss: Sequence[float], *, tail: float = 0.25, tolerance: float = 0.1
) -> bool:
    """Tell whether the loss of a run without labels had levelled off before the run ended.

    Where the loss could end is not known (nobody can predict noise), so its fall is compared with
    itself: the last quarter of the epochs must not have added more than a tenth to it.

    Parameters
    ----------
    validation_loss : sequence of float
        One an epoch.
    tail : float, default 0.25
        Share of the epochs that must not have brought a gain.
    tolerance : float, default 0.1
        Share of the fall until then that counts as one.

    Returns
    -------
    bool
        False for runs of fewer than four epochs, which show no plateau.

    Examples
    --------
    >>> loss_has_converged([1.0, 0.7, 0.6, 0.56, 0.55, 0.545, 0.54, 0.539])
    True
    >>> loss_has_converged([1.0, 0.9, 0.8, 0.7])
    False
    """
    if len(validation_loss) < 4:
        return False
    early, late = _divide(validation_loss, tail)
    before, after = min(early), min(late)
    return bool(before - after <= tolerance * (validation_loss[0] - before))


def _divide(curve: Sequence[float], tail: float) -> tuple[Sequence[float], Sequence[float]]:
    cut = len(curve) - max(1, round(tail * len(curve)))
    return curve[:cut], curve[cut:]
