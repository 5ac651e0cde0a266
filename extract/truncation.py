"""Whether a video is whole, and how much of it there is: one rule for what the decoder finds and what shards say."""


class Extent:
    """A record of a video that says how many frames decode, how many a header promises (0: none does), and whether the file's
    end is missing by its own account."""

    frames: int
    frames_expected: int
    cut_off: bool

    @property
    def truncated(self) -> bool:
        """Whether the end is missing, or clearly less decodes than the header promises (more than 5 % and one frame)."""
        return self.cut_off or self.frames + 1 < 0.95 * self.frames_expected

    @property
    def share(self) -> str:
        """How much of it there is, in words."""
        if self.frames_expected:
            return f"{self.frames} of {self.frames_expected} frames decode"
        return f"{self.frames} frames decode, then the file ends" if self.cut_off else f"{self.frames} frames decode"
