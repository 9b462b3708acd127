"""The released models of fits, from raw images of lenses that they have never seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from darkarcs.data import LensImages
from darkarcs.evaluation.roc import auc
from darkarcs.inference import Predictor
from darkarcs.simulation import parse_uri, simulate
from darkarcs.zoo import read_card, resolve

FRACTION = "classes=no_sub,cdm&classes.cdm.mass_fraction=0.1"


def lenses_of(scene: str, num: int) -> LensImages:
    return simulate(parse_uri(f"scene:{scene}?seed=77&num={num}&part=test&paired=1&{FRACTION}"))


@pytest.fixture(scope="module")
def euclid() -> LensImages:
    return lenses_of("fair-euclid", 48)


def area(logits: np.ndarray, lenses: LensImages) -> float:
    assert lenses.labels is not None
    return auc(logits[:, 1] - logits[:, 0], lenses.labels == 1)


def test_the_residual_network_sees_subhalos_that_no_shortcut_tells(euclid: LensImages) -> None:
    folder = resolve("darkarcs-fair-euclid-residuals")
    threads = torch.get_num_threads()
    logits = Predictor(folder).logits(euclid, "none")
    assert torch.get_num_threads() == threads
    assert area(logits, euclid) > 0.7
    assert "fits a smooth lens of scene `fair-euclid`" in read_card(folder)


def test_the_models_of_evidence_see_more_and_agree_with_what_fits_tell(euclid: LensImages) -> None:
    network = Predictor(resolve("darkarcs-fair-euclid-evidence"))
    numbers = Predictor(resolve("darkarcs-fair-euclid-fit-evidence"))
    left = network.as_taken(euclid)  # both look at the same fits
    alone = left.metadata["fit.log_evidence"]
    logits = numbers.logits(left)
    assert area(network.logits(left, "none"), euclid) > 0.8
    assert area(logits, euclid) > 0.8
    ranks = [np.argsort(np.argsort(one)) for one in (alone, logits[:, 1] - logits[:, 0])]
    assert np.corrcoef(*ranks)[0, 1] > 0.95  # weighted anew, not another statistic


def test_ten_numbers_are_enough_for_another_telescope() -> None:
    lenses = lenses_of("fair-hst", 24)
    assert area(Predictor(resolve("darkarcs-fair-hst-fit-evidence")).logits(lenses), lenses) > 0.75
