"""A scene: a named, versioned prior over lenses, and the way from its draws to images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.kernels import run_in_parts
from darkarcs.scenes import drawing, rendering
from darkarcs.scenes.distributions import largest, quantile
from darkarcs.scenes.geometry import Geometry, make_geometry
from darkarcs.scenes.parameters import LensParameters, Null, Part
from darkarcs.scenes.priors import GalaxySource, draw_columns, source_galaxies
from darkarcs.scenes.settings import SceneSettings
from darkarcs.scenes.streams import Streams

#: Samples rendered at a time on a CPU: enough that the work between operations does not matter,
#: and few enough that temporaries stay in its caches.
_SAMPLES_AT_ONCE = 2**18


class Scene(SceneSettings):
    """A prior over lenses that can be drawn, rendered and observed.

    Made by `darkarcs.scenes.load_scene`; its keys are those of `SceneSettings`.

    Examples
    --------
    >>> from darkarcs.scenes import load_scene
    >>> scene = load_scene("fair-euclid").with_classes(["no_sub", "cdm"])
    >>> lenses = scene.draw(seed=7, start=0, count=2)
    >>> images = scene.render(lenses)
    >>> tuple(images.shape), [scene.class_names[label] for label in lenses.labels]
    ((2, 1, 64, 64), ['no_sub', 'cdm'])
    """

    def draw(
        self,
        seed: int,
        start: int,
        count: int,
        *,
        part: Part = "train",
        paired: bool = False,
        null: Null | None = None,
    ) -> LensParameters:
        """Draw the parameters of lenses.

        Image i has class i modulo the number of classes. Its parameters are a function of the
        scene, the seed, the part and i alone; those of the smooth lens, the source and the
        observation come from streams that the class does not touch.

        Parameters
        ----------
        seed : int
            Root seed.
        start, count : int
            The images from ``start`` up to ``start + count``.
        part : {"train", "validation", "test"}, default "train"
            Which stream; no lens, and no source galaxy, is in two of them.
        paired : bool, default False
            Show each smooth lens in all classes, one image after another.
        null : {"massless", "smooth"}, optional
            Take the substructure's effect away but leave its draws and its code path.

        Returns
        -------
        LensParameters
            NumPy only.

        Raises
        ------
        ConfigurationError
            If a lens outweighs itself, or the galaxies cannot be read.
        """
        streams = Streams(seed, (self.name, str(self.version), part))
        indices = np.arange(start, start + count, dtype=np.int64)
        labels = indices % len(self.classes)
        lenses = indices // len(self.classes) if paired else indices
        columns, geometry = self._draw_smooth(streams, lenses, part)
        hosts = drawing.hosts_of(columns, geometry, self.grid, self.cosmology.hubble)
        masses, fields, drawn = drawing.draw_substructure(
            self.classes, labels, streams, lenses, hosts
        )
        columns, masses, fields = drawing.make_room(
            columns | drawn,
            masses,
            fields,
            geometry,
            self.grid,
            conserve=self.mass_conserving,
            null=null,
        )
        parameters = LensParameters(
            scene=self.identity,
            seed=seed,
            part=part,
            indices=indices,
            labels=labels,
            class_names=self.class_names,
            groups=np.empty(0, dtype=str),
            columns=columns,
            masses=masses,
            fields=fields,
        )
        return replace(parameters, groups=self._groups(parameters, lenses, paired))

    def _draw_smooth(
        self, streams: Streams, lenses: NDArray[np.int64], part: Part
    ) -> tuple[drawing.Columns, Geometry]:
        """What no class touches: lens, source, observation."""
        columns = {
            name: quantile(distribution, streams.uniform(name, lenses))
            for name, distribution in (("z_lens", self.z_lens), ("z_source", self.z_source))
        }
        geometry = make_geometry(
            columns["z_lens"], columns["z_source"], self.cosmology, self.faults
        )
        columns |= draw_columns(self.lens, "lens", streams, lenses)
        if "lens.mass" in columns:
            mass = columns["lens.mass"] * geometry.mass_factor
            columns["lens.einstein_radius"] = np.sqrt(
                mass / (np.pi * geometry.critical_surface_density)
            )
        library = (
            source_galaxies(self.source, self.folder, part)
            if isinstance(self.source, GalaxySource)
            else None
        )
        columns |= drawing.light_columns(
            self.source, "source", streams, lenses, self.instrument, library
        )
        for number, prior in enumerate(self.lens_light, start=1):
            name = f"lens_light_{number}"
            columns |= drawing.light_columns(prior, name, streams, lenses, self.instrument)
            for axis in ("centre_x", "centre_y"):
                columns[f"{name}.{axis}"] = columns[f"{name}.{axis}"] + columns[f"lens.{axis}"]
        for channel in self.channels:
            columns |= draw_columns(channel, channel.prefix, streams, lenses)
        columns |= draw_columns(self.noise, "noise", streams, lenses)
        if self.point_spread_factor != 1.0:
            share = streams.uniform("point_spread_factor", lenses)
            columns["point_spread_factor"] = quantile(self.point_spread_factor, share)
        if self.faults.source_redshift_convention is not None:
            columns["deflection_factor"] = geometry.deflection_factor
        return columns, geometry

    def _groups(
        self, parameters: LensParameters, lenses: NDArray[np.int64], paired: bool
    ) -> NDArray[np.str_]:
        if isinstance(self.source, GalaxySource):
            library = source_galaxies(self.source, self.folder, parameters.part)
            which = parameters.columns["source.galaxy"].astype(np.int64)
            return np.array([f"galaxy/{library.identity[i]}" for i in which], dtype=str)
        if paired:
            prefix = f"{parameters.scene}/{parameters.part}/{parameters.seed}/pair"
            return np.array([f"{prefix}/{lens}" for lens in lenses], dtype=str)
        return parameters.identities

    def render(
        self,
        parameters: LensParameters,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Make the noiseless images of drawn lenses.

        On a CPU the lenses are shared out over as many threads as torch uses.

        Parameters
        ----------
        parameters : LensParameters
            From `draw`.
        device : torch.device or str, default "cpu"
            Where.
        dtype : torch.dtype, default float32
            Precision.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            Electrons per second in each pixel, or the unit of the source's amplitude.
        """
        if not len(parameters):
            shape = (0, len(self.channels), self.num_pixels, self.num_pixels)
            return torch.zeros(shape, dtype=dtype, device=device)
        values = parameters.tensors(dtype=dtype, device=device)
        galaxies = None
        if isinstance(self.source, GalaxySource):
            library = source_galaxies(self.source, self.folder, parameters.part)
            images = torch.from_numpy(library.images).to(device=device, dtype=dtype)
            galaxies = rendering.Galaxies(images, library.pixel_scale)
        if torch.device(device).type != "cpu":
            return self.render_values(values, galaxies)
        step = max(1, _SAMPLES_AT_ONCE // self.grid.num_samples**2)
        shape = (len(parameters), len(self.channels), self.num_pixels, self.num_pixels)
        images = torch.empty(shape, dtype=dtype)

        def render_part(first: int, last: int) -> None:
            for start in range(first, last, step):
                chunk = slice(start, min(start + step, last))
                some = {name: value[chunk] for name, value in values.items()}
                images[chunk] = self.render_values(some, galaxies)

        run_in_parts(render_part, len(parameters))
        return images

    def render_values(
        self, values: rendering.Columns, galaxies: rendering.Galaxies | None = None
    ) -> Tensor:
        """Make noiseless images from tensors: pure, and differentiable in all of them.

        Parameters
        ----------
        values : mapping of str to Tensor
            From `LensParameters.tensors`.
        galaxies : Galaxies, optional
            For scenes whose sources are real galaxies.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            As for `render`.
        """
        _, beta = rendering.trace(values, self.lens, self.grid)
        source = rendering.light(*beta, values, "source", self.source, galaxies)
        return self.collect(source, values)

    def collect(self, source: Tensor, values: rendering.Columns) -> Tensor:
        """Make images from the light of the sources, ray by ray.

        Parameters
        ----------
        source : Tensor, shape (B, N, N)
            Surface brightness at the samples of `grid`, per arcsec^2.
        values : mapping of str to Tensor
            From `LensParameters.tensors`.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            As for `render`: with the lens's own light, in all bands, blurred.
        """
        theta_x, theta_y = self.grid.coordinates(dtype=source.dtype, device=source.device)
        lens_light = torch.zeros_like(source)
        for number, prior in enumerate(self.lens_light, start=1):
            name = f"lens_light_{number}"
            lens_light = lens_light + rendering.light(theta_x, theta_y, values, name, prior, None)
        bands = []
        for channel in self.channels:
            band = source * values[f"{channel.prefix}.source"][:, None, None]
            if self.lens_light:
                share = values[f"{channel.prefix}.lens_light"][:, None, None]
                band = band + lens_light * share
            bands.append(band)
        return self.blur(torch.stack(bands, dim=1), values)

    def blur(self, samples: Tensor, values: rendering.Columns) -> Tensor:
        """Blur light and collect it in pixels.

        Parameters
        ----------
        samples : Tensor, shape (B, C, N, N)
            Surface brightness at the samples of `grid`, per arcsec^2.
        values : mapping of str to Tensor
            From `LensParameters.tensors`.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            Electrons per second in each pixel.
        """
        factor = largest(self.point_spread_factor)
        images = rendering.blur(samples, values, self.instrument, self.grid, largest_factor=factor)
        return images * self.grid.pixel_scale**2

    def observe(
        self, images: Tensor, parameters: LensParameters, generator: torch.Generator
    ) -> Tensor:
        """Add noise and store as the scene says.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            From `render`.
        parameters : LensParameters
            Of these images.
        generator : torch.Generator
            Source of chance, on the device of the images.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            What a data set holds.
        """
        observed = self.noise.apply(
            images.detach(), self._noise_columns(images, parameters), self.instrument, generator
        )
        return self.storage.apply(observed)

    def noise_variance(self, images: Tensor, parameters: LensParameters) -> Tensor:
        """Compute the variance of the noise, before the images are stored.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            From `render`.
        parameters : LensParameters
            Of these images.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            In the square of the noise's unit.
        """
        columns = self._noise_columns(images, parameters)
        return self.noise.variance(images, columns, self.instrument)

    def _noise_columns(self, images: Tensor, parameters: LensParameters) -> dict[str, Tensor]:
        return {
            name.removeprefix("noise."): torch.from_numpy(values).to(images)[:, None, None, None]
            for name, values in parameters.columns.items()
            if name.startswith("noise.")
        }
