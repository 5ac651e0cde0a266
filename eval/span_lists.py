"""Which list of spans a manifest holds: of UCF-Crime two are about, and they move a figure by more than a point."""

from aadc.eval.video_names import plain_name
from aadc.manifests.manifest import Manifest
from aadc.manifests.official import shipped
from aadc.manifests.shown import shown

_SHIPPED = {"UCF-Crime": "ucf", "XD-Violence": "xd"}


def which_spans(manifest: Manifest) -> str:
    """A sentence: the data set's own list, or one that differs from it, and in which videos."""
    name = _SHIPPED.get(manifest.card.title)
    rows = [row for row in manifest.split("test") if row.segments]
    if name is None:
        return f"spans: those of {manifest.path.name}, {sum(len(row.segments) for row in rows)} in {len(rows)} test videos"
    own = {plain_name(row.video): row.segments for row in shipped(name).rows if row.split == "test"}
    other = [row.video for row in rows if row.segments != own.get(plain_name(row.video))]
    if not other:
        return f"spans: the list that {manifest.card.title} was published with, {len(rows)} videos"
    listed = ", ".join(shown(plain_name(video)) for video in other[:5]) + (" …" if len(other) > 5 else "")
    return f"spans: not the list that {manifest.card.title} was published with; they differ in {len(other)} videos ({listed})"
