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
    cut = len(validation_auc) - max(1, round(tail * len(validation_auc)))
    before, after = max(validation_auc[:cut]), max(validation_auc[cut:])
    return bool(after - before <= max(tolerance * (1 - before), 5e-4))
