"""What a manifest holds, for people: videos by class and split, and which of them are not there."""

import re
from collections import Counter
from pathlib import Path

from rich.table import Table

from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, card_path
from aadc.manifests.video_root import VideoRoot, trouble

_NEGATION = re.compile(r"(?i)\b(no|not|non|none|never|without|nobody|nothing|cannot)\b|n['\u2019]t\b")


def count_table(manifest: Manifest) -> Table:
    """Videos and segments by class; a video of several classes counts in each, the last row counts it once."""
    videos = Counter((row.split, label) for row in manifest.rows for label in row.labels)
    segments = Counter(segment.label for row in manifest.rows for segment in row.segments)
    table = Table("class", "kind", "train", "test", "segments", show_footer=True)
    for column in table.columns[2:]:
        column.justify = "right"
    for entry in manifest.card.classes:
        counts = videos["train", entry.name], videos["test", entry.name], segments[entry.name]
        table.add_row(entry.name, entry.kind, *map(str, counts))
    totals = len(manifest.split("train")), len(manifest.split("test")), segments.total()
    for column, footer in zip(table.columns, ("videos", "", *map(str, totals)), strict=True):
        column.footer = footer
    return table


def remarks(manifest: Manifest) -> list[str]:
    """What later stages will lack or may stumble over, a sentence each."""
    card, found = manifest.card, []
    for split in ("train", "test"):
        rows = manifest.split(split)
        seen = {label for row in rows for label in row.labels}
        if lacking := [name for name in card.names if name not in seen]:
            found.append(f"no {split} video of {', '.join(lacking)}")
    abnormal = [row for row in manifest.split("test") if card.is_abnormal(row.labels)]
    if bare := sum(not row.segments for row in abnormal):
        found.append(f"{bare} abnormal test videos have no segments, so only video-level figures can count them")
    for row in abnormal:
        if others := {segment.label for segment in row.segments} - set(row.labels):
            found.append(f"{row.video} is labelled {'|'.join(row.labels)}, but has segments of {'|'.join(sorted(others))}")
    if negated := [entry.prompt for entry in card.classes if _NEGATION.search(entry.prompt)]:
        quoted = ", ".join(f'"{prompt}"' for prompt in negated)
        found.append(
            f'CLIP hardly reads negation, so {quoted} is near its opposite; say what is to be seen instead ("a bare head", not '
            f'"no helmet"): edit the prompt in {card_path(manifest.path)}'
        )
    return found


def missing_videos(manifest: Manifest, root: Path) -> list[str]:
    """A sentence for each video that is no readable file below `root`. `UserError` if not one is there: a wrong root."""
    missing, videos = [], VideoRoot(root)
    for row in manifest.rows:
        try:
            if found := trouble(videos.path(row.video)):
                missing.append(f"{row.video}: {found[1]}")
        except UserError as error:
            missing.append(str(error))
    if len(missing) == len(manifest.rows):
        raise UserError(f"{root}: not one of the {len(missing)} videos is there; first of them: {missing[0]}")
    return missing
