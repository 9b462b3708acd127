"""What the folders' names say about the classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from darkarcs.labels import canonical_class, is_known_class

# Folders of these names divide a set, they do not name a class.
_DIVISIONS = {
    "train", "training", "val", "valid", "validation", "test", "testing", "eval", "holdout",
    "images", "data",
}  # fmt: skip


def classes_from_folders(names: Sequence[str]) -> list[str | None]:
    """Read the class of each file off the folders it lies in.

    The class is the innermost folder whose name is in the vocabulary of `darkarcs.labels`.
    Failing that it is the folder that holds the file, if at least two folders side by side hold
    files; ``train``, ``val``, ``test``, ``images`` and the like never count. File names are
    never read: in ``Model_II_cdm_1.npy`` they belong to a generator, not to a data set.

    Parameters
    ----------
    names : sequence of str
        Paths inside the set, with forward slashes.

    Returns
    -------
    list of (str or None)
        Canonical class names; None where no folder tells.

    Examples
    --------
    >>> classes_from_folders(["lenses/sub/1.jpg", "val/No_Substructure/2.jpg", "3.jpg"])
    ['sub', 'no_sub', None]
    >>> classes_from_folders(["train/ring/1.png", "train/arc/2.png"])
    ['ring', 'arc']
    """
    folders = [PurePosixPath(name).parent for name in names]
    siblings: defaultdict[PurePosixPath, set[str]] = defaultdict(set)
    for folder in set(folders):
        if folder.name and folder.name.lower() not in _DIVISIONS:
            siblings[folder.parent].add(folder.name)
    # What is a class beside its siblings in train/ is one in val/ too, even alone there.
    own = {name for group in siblings.values() if len(group) > 1 for name in group}
    found: dict[PurePosixPath, str | None] = {}
    for folder in set(folders):
        known = [part for part in folder.parts if is_known_class(part)]
        name = known[-1] if known else folder.name
        found[folder] = canonical_class(name) if known or name in own else None
    return [found[folder] for folder in folders]
