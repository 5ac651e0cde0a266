"""When scores become an event, and when it ends: what a camera's owner may set."""

from pydantic import Field, model_validator

from aadc.manifests.records import Record


class EventRules(Record):
    """Two thresholds and times around them. An event opens after `open_for` snippets at or above `open_at`, and closes once
    the score stayed below `close_at` for `close_after_s` seconds of the stream."""

    open_at: float = Field(0.5, gt=0, le=1, description="score from which snippets open an event")
    close_at: float = Field(0.35, ge=0, le=1, description="score below which it comes to its end")
    open_for: int = Field(2, ge=1, le=1000, description="so many snippets in a row open it")
    close_after_s: float = Field(3.0, ge=0, le=3600, description="seconds below `close_at` that close it")
    merge_gap_s: float = Field(5.0, ge=0, le=3600, description="one that opens so soon after another goes on with it")
    cool_down_s: float = Field(0.0, ge=0, le=86400, description="no new one so long after the last (seconds)")
    most_an_hour: int = Field(20, ge=1, le=10_000, description="more in an hour go into one digest")
    longest_s: float = Field(600.0, gt=0, le=86400, description="a longer one is cut there, and goes on as another")

    @model_validator(mode="after")
    def _ordered(self) -> "EventRules":
        if self.close_at > self.open_at:
            raise ValueError(f"close_at ({self.close_at}) is above open_at ({self.open_at}); an event would end as it opens")
        return self
