"""Whether the manifest that a run was extracted from says something else now than the run's own copy, which figures use."""

from pathlib import Path

from aadc.eval.made_with import differing_classes
from aadc.eval.notes import some
from aadc.extract.run_folder import RunFolder
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, read_manifest


def changes_since_extraction(run: RunFolder, used: Manifest) -> list[str]:
    """A sentence on what has changed, or none: the manifest is as it was, or not where it was.

    Args:
        used: the run's own copy.
    """
    named = run.record().get("manifest")
    path = Path(named) if isinstance(named, str) else None
    if path is None or not path.is_file() or path.resolve() == run.manifest_csv.resolve():
        return []
    try:
        now = read_manifest(path)
    except UserError:
        return [f"{path} cannot be read any more; figures use the run's own copy, {run.manifest_csv}"]
    before, after = ({row.video: row for row in one.rows} for one in (used, now))
    fields = ("split", "labels", "segments", "frames")
    both = [(before[video], after[video]) for video in before if video in after]
    changed = {name: [one.video for one, other in both if getattr(one, name) != getattr(other, name)] for name in fields}
    found = [f"{len(videos)} rows have other {name} ({some(videos)})" for name, videos in changed.items() if videos]
    for what, videos in (("new", after.keys() - before.keys()), ("gone", before.keys() - after.keys())):
        found += [f"{len(videos)} rows are {what} ({some(sorted(videos))})"] if videos else []
    if classes := differing_classes(used.card, now.card):
        found.append(f"the class card differs in {some(classes)}")
    if not found:
        return []
    return [
        f"{path} has changed since the extraction: {'; '.join(found)}. Figures use the labels of the run's own copy, "
        f"{run.manifest_csv}; aadc-extract {path} takes the changes up"
    ]
