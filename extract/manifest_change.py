"""Whether the manifest that a run was extracted from says something else now than the run's own copy, which is used."""

import shlex
from pathlib import Path

from aadc.extract.run_folder import RunFolder
from aadc.manifests.changes import changes
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, read_manifest


def changes_since_extraction(run: RunFolder, used: Manifest) -> list[str]:
    """A sentence on what has changed, or none: the manifest is as it was, or not where it was.

    Args:
        used: the run's own copy.
    """
    path = Path(run.record().manifest)
    if not path.is_file() or path.resolve() == run.manifest_csv.resolve():
        return []
    try:
        found = changes(used, read_manifest(path))
    except UserError:
        return [f"{path} cannot be read any more; the run's own copy, {run.manifest_csv}, is used"]
    if not found:
        return []
    imported = run.record().models.get("imported", {}).get("folder")
    quoted = shlex.quote(str(path))
    again = f"aadc-import {shlex.quote(str(imported))} {quoted}" if imported else f"aadc-extract {quoted}"
    return [
        f"{path} has changed since the extraction: {'; '.join(found)}. Used are classes and labels of the run's own copy, "
        f"{run.manifest_csv}; {again} takes the changes up"
    ]
