"""Which files are taken for videos, by the ends of their names, and what a folder holds besides: one list for all commands.

The list is about what is worth opening. What a file is, its content decides (`aadc.extract.open_video`).
"""

import os
from collections import Counter
from pathlib import Path

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".264", ".265", ".3g2", ".3gp", ".amv", ".asf", ".av1", ".avc", ".avi", ".dav", ".divx", ".dv", ".f4v", ".flv",
    ".h261", ".h263", ".h264", ".h265", ".hevc", ".insv", ".ismv", ".ivf", ".lrv", ".m1v", ".m2p", ".m2t", ".m2ts",
    ".m2v", ".m4v", ".mj2", ".mjpeg", ".mjpg", ".mkv", ".mod", ".mov", ".mp4", ".mpe", ".mpeg", ".mpeg4", ".mpg",
    ".mts", ".mxf", ".nut", ".obu", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".tod", ".tp", ".trp", ".ts", ".vc1",
    ".vob", ".vro", ".webm", ".wmv", ".wtv", ".y4m",
})
# fmt: on


def is_video_name(name: str) -> bool:
    """Whether a file of this name is taken for a video. Hidden ones (`._clip.mp4`) are not."""
    return Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")


def passed_over(folder: Path) -> str:
    """What lies below a folder besides videos, by their names: `passed over, no videos by their names: 3 .txt, 1 .zip`.

    Empty if there is nothing. Hidden files and folders are left out.
    """
    counts: Counter[str] = Counter()
    for _, subfolders, files in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        others = (name for name in files if not name.startswith(".") and not is_video_name(name))
        counts.update(Path(name).suffix.lower() or "without an ending" for name in others)
    listed = ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return f"passed over, no videos by their names: {listed}" if listed else ""
