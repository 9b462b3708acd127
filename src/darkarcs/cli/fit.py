"""``darkarcs fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def fit(
    data: Annotated[str, typer.Argument(help="Images: a folder, archive, file or scene: URI.")],
    out: Annotated[Path, typer.Option(help="The new HDF5 file of residuals.")],
    scene: Annotated[
        str | None,
        typer.Option(help="Whose smooth lenses are fitted; the scene that the images are of."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a key of --scene.")
    ] = None,
    free_source: Annotated[
        bool,
        typer.Option("--free-source", help="Let sources differ from Sersic profiles (slower)."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fit smooth lenses to images and write what they leave; an interrupted run goes on."""
    import json

    from darkarcs import data as lens_data
    from darkarcs.errors import ConfigurationError, OutputExistsError
    from darkarcs.fitting import SmoothFit, residuals_to_store, scene_of
    from darkarcs.scenes import load_scene
    from darkarcs.simulation.progress import show_progress

    if out.exists():  # before the work, which takes minutes
        raise OutputExistsError(out)
    if overrides and scene is None:
        raise ConfigurationError("--set changes a key of the scene that --scene names: give both")
    lenses = lens_data.open(data)
    chosen = scene_of(lenses) if scene is None else load_scene(scene, overrides or ())
    how = SmoothFit.of(chosen, "free" if free_source else "sersic")
    with show_progress(f"fitting smooth lenses of {chosen.name}", len(lenses)) as advance:
        residuals_to_store(lenses, how, out, progress=advance)
    facts = {
        "path": str(out),
        "fit": how.identity,
        **_facts(lens_data.open(out), lenses.images[0].size),
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    low, middle, high = facts["chi_square_per_pixel"]
    typer.echo(
        f"{out}: residuals of {facts['num_images']:,} images; {facts['converged']:,} fits "
        f"converged, chi-squared a pixel {middle:.3f} (5 to 95 %: {low:.3f} to {high:.3f})"
    )
    if "auc_of_chi_square" in facts:
        typer.echo(
            "without a network, substructure is told from none with AUC "
            f"{facts['auc_of_log_evidence']} by the evidence for subhalos, "
            f"{facts['auc_of_chi_square']} by chi-squared"
        )


def _facts(made: Any, num_pixels: int) -> dict[str, Any]:
    import numpy as np

    from darkarcs.evaluation.roc import auc
    from darkarcs.labels import CLASSES

    chi_square = made.metadata["fit.chi_square"].astype(np.float64)
    quantiles = np.quantile(chi_square / num_pixels, [0.05, 0.5, 0.95])
    facts = {
        "num_images": len(made),
        "converged": int(made.metadata["fit.converged"].sum()),
        "chi_square_per_pixel": [round(float(value), 4) for value in quantiles],
    }
    if made.labels is not None and CLASSES[0] in made.class_names:
        # what fits tell by themselves: the classical way, and baselines for what is trained on them
        has_substructure = made.labels != made.class_names.index(CLASSES[0])
        if has_substructure.any() and not has_substructure.all():
            facts["auc_of_chi_square"] = round(auc(chi_square, has_substructure), 4)
            evidence = made.metadata["fit.log_evidence"].astype(np.float64)
            facts["auc_of_log_evidence"] = round(auc(evidence, has_substructure), 4)
    return facts
