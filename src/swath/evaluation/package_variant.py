"""Write a copy of a model package with other hyperparameters, for its evaluation.

A precision-recall curve needs detections with scores below the package's threshold. A run can raise
that threshold, but not lower it. So the engine runs a copy of the package, with the same files and
another `mlm.json`.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.models.packing import DESCRIPTION_FILE

if TYPE_CHECKING:
    from swath.models.package import ModelPackage

_HYPERPARAMETERS = "mlm:hyperparameters"


def write_variant(package: ModelPackage, target: Path, **hyperparameters: Any) -> Path:
    """Write a package with some of its `mlm:hyperparameters` replaced, and return its folder.

    Args:
        package: Package on this machine. Its files are hard-linked if `target` is on the same disk,
            else copied.
        target: Folder to create.
        hyperparameters: Entries of `mlm:hyperparameters` to replace.
    """
    shutil.copytree(package.folder, target, copy_function=_link_or_copy)
    item = json.loads((package.folder / DESCRIPTION_FILE).read_bytes())
    item["properties"][_HYPERPARAMETERS] |= hyperparameters
    # Write a new file, since writing to the hard link would change the original package.
    (target / DESCRIPTION_FILE).unlink()
    (target / DESCRIPTION_FILE).write_text(json.dumps(item))
    return target


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
