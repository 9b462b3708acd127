"""Augmentation: exactness, what each movement does, determinism."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from darkarcs.data.augmentation import NARROW_SCALE, Augmentation, apply_dihedral, blur, move
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.seeding import torch_generator

EVERYTHING = Augmentation(
    rotation=True, scale=(0.9, 1.1), shift_pixels=1.5, noise=0.1, psf_blur_pixels=1.0
)


def _numpy_element(image: np.ndarray, bits: int) -> np.ndarray:
    image = np.fliplr(image) if bits & 1 else image
    image = np.flipud(image) if bits & 2 else image
    return image.T if bits & 4 else image


def blob(x: float, y: float, sigma: float = 2.0, side: int = 41) -> torch.Tensor:
    """A Gaussian at (x, y) pixels from the centre."""
    axis = torch.arange(side) - (side - 1) / 2
    squared = (axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2
    return torch.exp(-squared / (2 * sigma**2))[None, None]


def centre(images: torch.Tensor) -> tuple[float, float]:
    side = images.shape[-1]
    axis = torch.arange(side) - (side - 1) / 2
    total = images.sum()
    return float((images * axis).sum() / total), float((images * axis[:, None]).sum() / total)


@pytest.mark.parametrize("bits", range(8))
def test_each_dihedral_element_equals_numpy(bits: int) -> None:
    images = torch.randn(5, 2, 7, 7)
    changed = apply_dihedral(images, torch.full((5,), bits))
    for image, result in zip(images.flatten(0, 1), changed.flatten(0, 1), strict=True):
        assert (result.numpy() == _numpy_element(image.numpy(), bits)).all()


def test_the_eight_elements_are_the_flips_and_quarter_turns() -> None:
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    ours = {apply_dihedral(image, torch.tensor([bits])).numpy().tobytes() for bits in range(8)}
    turned = [np.rot90(image[0, 0].numpy(), k) for k in range(4)]
    group = {np.ascontiguousarray(t).tobytes() for turn in turned for t in (turn, np.fliplr(turn))}
    assert ours == group
    assert len(ours) == 8


def test_every_element_occurs_equally_often() -> None:
    image = torch.arange(9.0).reshape(1, 1, 3, 3).expand(4000, 1, 3, 3)
    changed = Augmentation().apply(image, torch_generator(0))
    _, counts = torch.unique(changed.flatten(1), dim=0, return_counts=True)
    assert len(counts) == 8
    assert ((counts - 500).abs() < 5 * math.sqrt(500)).all()


def test_images_that_are_not_square_are_only_flipped() -> None:
    image = torch.arange(6.0).reshape(1, 1, 2, 3).expand(500, 1, 2, 3)
    changed = Augmentation().apply(image, torch_generator(0))
    assert changed.shape == image.shape
    assert len(torch.unique(changed.flatten(1), dim=0)) == 4


def test_the_generator_determines_everything() -> None:
    images = torch.randn(6, 1, 16, 16)
    before = images.clone()
    first = EVERYTHING.apply(images, torch_generator(1, "augmentation", 3))
    torch.randn(10)  # the global generator must not matter
    again = EVERYTHING.apply(images, torch_generator(1, "augmentation", 3))
    other = EVERYTHING.apply(images, torch_generator(1, "augmentation", 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)
    assert first.shape == images.shape


def test_each_image_has_its_own_draw() -> None:
    images = torch.randn(1, 1, 16, 16).expand(8, 1, 16, 16)
    for name, value in (
        ("rotation", True),
        ("scale", True),
        ("shift_pixels", 2.0),
        ("psf_blur_pixels", 2.0),
        ("noise", 0.1),
    ):
        changed = Augmentation(dihedral=False, **{name: value}).apply(images, torch_generator(0))
        assert len(torch.unique(changed.flatten(1), dim=0)) == 8, name


def test_all_off_changes_nothing() -> None:
    images = torch.randn(3, 1, 8, 8)
    assert torch.equal(Augmentation(dihedral=False).apply(images, torch_generator(0)), images)


@pytest.mark.parametrize("degrees", [30.0, 90.0, 200.0])
def test_rotation_turns_about_the_centre(degrees: float) -> None:
    angle = torch.tensor([math.radians(degrees)])
    turned = move(blob(10.0, 0.0), angle, torch.ones(1), torch.zeros(1, 2))
    expected = 10 * math.cos(angle), 10 * math.sin(angle)
    assert centre(turned) == pytest.approx(expected, abs=0.02)


def test_quarter_turn_equals_the_dihedral_one() -> None:
    images = torch.randn(1, 1, 12, 12)
    turned = move(images, torch.tensor([math.pi / 2]), torch.ones(1), torch.zeros(1, 2))
    torch.testing.assert_close(turned, torch.rot90(images, -1, (-2, -1)), atol=1e-5, rtol=0)


def test_scale_multiplies_the_radius() -> None:
    moved = move(blob(8.0, -4.0), torch.zeros(1), torch.tensor([1.25]), torch.zeros(1, 2))
    assert centre(moved) == pytest.approx((10.0, -5.0), abs=0.02)


def test_shift_is_made_last_and_to_a_fraction_of_a_pixel() -> None:
    shift = torch.tensor([[2.25, -1.5]])
    moved = move(blob(5.0, 0.0), torch.tensor([math.pi / 2]), torch.tensor([1.2]), shift)
    assert centre(moved) == pytest.approx((2.25, 4.5), abs=0.02)


def test_movement_is_right_on_images_that_are_not_square() -> None:
    image = torch.zeros(1, 1, 41, 61)
    image[..., 10:51] = blob(0.0, 8.0)
    moved = move(image, torch.tensor([math.pi / 2]), torch.ones(1), torch.zeros(1, 2))
    axis = torch.arange(61) - 30.0
    assert float((moved * axis).sum() / moved.sum()) == pytest.approx(-8.0, abs=0.02)


def test_draws_stay_in_their_ranges() -> None:
    images = blob(0.0, 0.0).expand(400, 1, 41, 41)
    moved = Augmentation(dihedral=False, shift_pixels=2.0).apply(images, torch_generator(5))
    found = torch.tensor([centre(image) for image in moved])
    assert found.abs().max() < 2.01
    assert found.abs().max() > 1.9
    assert found.mean(dim=0).abs().max() < 0.2


def test_blur_widens_by_its_variance_and_keeps_flux() -> None:
    sigma = torch.tensor([0.0, 1.0, 2.0])
    blurred = blur(blob(0.0, 0.0, sigma=3.0).expand(3, 1, 41, 41), sigma, 2.0)
    axis = torch.arange(41) - 20.0
    variance = (blurred * axis**2).sum(dim=(1, 2, 3)) / blurred.sum(dim=(1, 2, 3))
    torch.testing.assert_close(variance, 9.0 + sigma**2, rtol=0.02, atol=0)
    torch.testing.assert_close(blurred[0], blob(0.0, 0.0, sigma=3.0)[0])


def test_blur_keeps_constants_and_channels_apart() -> None:
    images = torch.stack([torch.full((9, 9), 2.0), torch.full((9, 9), -5.0)])[None]
    torch.testing.assert_close(blur(images, torch.tensor([1.3]), 1.5), images)


def test_noise_has_the_stated_deviation() -> None:
    images = torch.zeros(20, 1, 50, 50)
    noisy = Augmentation(dihedral=False, noise=0.3).apply(images, torch_generator(0))
    assert noisy.std().item() == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_dtype_is_kept(dtype: torch.dtype) -> None:
    images = torch.randn(2, 1, 16, 16, dtype=dtype)
    assert EVERYTHING.apply(images, torch_generator(0)).dtype == dtype


def test_scale_true_is_narrow() -> None:
    assert Augmentation.parse({"scale": True}, "recipe").scale == NARROW_SCALE
    assert Augmentation.parse({"scale": False}, "recipe").scale is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": (1.1, 0.9)}, "smaller first"),
        ({"scale": (0.0, 1.0)}, "above 0"),
        ({"noise": -1.0}, "greater than or equal to 0"),
        ({"rotate": True}, "did you mean 'rotation'"),
    ],
)
def test_settings_are_strict(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Augmentation.parse(values, "recipe")


def test_bad_input_is_named() -> None:
    with pytest.raises(DataError, match="int64"):
        Augmentation().apply(torch.zeros(1, 1, 4, 4, dtype=torch.int64), torch_generator(0))
    with pytest.raises(DataError, match=r"\(4, 4\)"):
        Augmentation().apply(torch.zeros(4, 4), torch_generator(0))


@pytest.mark.gpu
@pytest.mark.parametrize("generator_device", ["cpu", "cuda"])
def test_runs_where_the_images_are(generator_device: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    images = torch.randn(4, 1, 16, 16, device="cuda")
    changed = EVERYTHING.apply(images, torch_generator(0, device=generator_device))
    assert changed.device == images.device
