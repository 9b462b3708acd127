"""The released model of residuals, from raw images of lenses that it has never seen."""

from __future__ import annotations

import torch

from darkarcs.evaluation.roc import auc
from darkarcs.inference import Predictor
from darkarcs.simulation import parse_uri, simulate
from darkarcs.zoo import read_card, resolve

PAIRS = "scene:fair-euclid?seed=77&num=48&part=test&paired=1&classes=no_sub,cdm"


def test_it_sees_subhalos_that_no_shortcut_tells() -> None:
    folder = resolve("darkarcs-fair-euclid-residuals")
    lenses = simulate(parse_uri(f"{PAIRS}&classes.cdm.mass_fraction=0.1"))
    threads = torch.get_num_threads()
    logits = Predictor(folder).logits(lenses, "none")
    assert torch.get_num_threads() == threads
    assert lenses.labels is not None
    assert auc(logits[:, 1] - logits[:, 0], lenses.labels == 1) > 0.7
    assert "fits a smooth lens of scene `fair-euclid`" in read_card(folder)
