"""A model package with other hyperparameters: as the engine runs it while it is measured.

A curve of precision and recall needs what scores less than the package reports. A run may raise the
package's threshold, but not lower it. So the engine is given a package of its own: the same files
beside an `mlm.json` that says otherwise.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.models.packing import DESCRIPTION

if TYPE_CHECKING:
    from swath.models.package import ModelPackage

_HYPERPARAMETERS = "mlm:hyperparameters"


def write_variant(package: ModelPackage, target: Path, **hyperparameters: Any) -> Path:
    """Write the package with some of its `mlm:hyperparameters` replaced, and give its folder.

    Args:
        package: on this machine; its files are linked where the disk is the same, else copied.
        target: the folder to make.
        hyperparameters: those to replace.
    """
    shutil.copytree(package.folder, target, copy_function=_link)
    item = json.loads((package.folder / DESCRIPTION).read_bytes())
    item["properties"][_HYPERPARAMETERS] |= hyperparameters
    # A new file: writing into the link would change the package itself.
    (target / DESCRIPTION).unlink()
    (target / DESCRIPTION).write_text(json.dumps(item))
    return target


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
