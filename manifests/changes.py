"""What became of a manifest since a run was made from it, in words."""

from collections.abc import Iterator

from aadc.manifests.card import Card
from aadc.manifests.manifest import Manifest


def changes(old: Manifest, new: Manifest) -> list[str]:
    """What differs, a phrase each (`3 rows relabelled, a.mp4 for one`); empty where nothing does."""
    before, after = ({row.video: row for row in manifest.rows} for manifest in (old, new))
    both = [(before[video], row) for video, row in after.items() if video in before]
    found = {
        "added": [video for video in after if video not in before],
        "removed": [video for video in before if video not in after],
        "relabelled": [row.video for was, row in both if was.labels != row.labels],
        "moved to the other split": [row.video for was, row in both if was.split != row.split],
        "with other segments or frames": [
            row.video for was, row in both if (was.segments, was.frames) != (row.segments, row.frames)
        ],
    }
    rows = [
        f"{len(videos)} row{'s' if len(videos) > 1 else ''} {what}, {videos[0]}{' for one' if len(videos) > 1 else ''}"
        for what, videos in found.items()
        if videos
    ]
    return [*rows, *_card_changes(old.card, new.card)]


def _card_changes(old: Card, new: Card) -> Iterator[str]:
    before, after = ({entry.name: entry for entry in card.classes} for card in (old, new))
    if added := [name for name in after if name not in before]:
        yield f"class added: {', '.join(added)}"
    if removed := [name for name in before if name not in after]:
        yield f"class removed: {', '.join(removed)}"
    both = [name for name in after if name in before]
    for what in ("kind", "prompt"):
        if other := [name for name in both if getattr(before[name], what) != getattr(after[name], what)]:
            yield f"other {what} of {', '.join(other)}"
    if both != [name for name in before if name in after]:
        yield "classes in another order"
    if any(getattr(old, what) != getattr(new, what) for what in ("title", "source", "licence", "videos")):
        yield "other title, source, licence or video root on the card"
