"""Whether a video is whole, and how much of it there is: one rule for what the decoder finds and what shards say."""


def is_truncated(frames: int, frames_expected: int, end_is_missing: bool) -> bool:
    """Whether the file's end is missing by its own account, or clearly less decodes than its header promises (more than 5 %
    and one frame; `frames_expected` 0: it promises nothing)."""
    return end_is_missing or frames + 1 < 0.95 * frames_expected


def share(frames: int, frames_expected: int, end_is_missing: bool) -> str:
    """How much of it there is, in words."""
    if frames_expected:
        return f"{frames} of {frames_expected} frames decode"
    return f"{frames} frames decode, then the file ends" if end_is_missing else f"{frames} frames decode"
