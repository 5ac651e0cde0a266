"""Weakly supervised video anomaly detection after AADC-Net.

    import aadc

    run = aadc.open_run("runs/mine")
    run.score("clip.mp4").spans

`docs/python.md` has all of it. The packages manifests, extract, head and eval are the stages; `aadc.extract` can be called.
`aadc.metrics` are the figures of any method's scores.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aadc import metrics
    from aadc.extract.video_features import VideoFeatures
    from aadc.manifests.errors import UserError
    from aadc.python import Answer, Run, extract, open_run, train

__all__ = ["Answer", "Run", "UserError", "VideoFeatures", "extract", "metrics", "open_run", "train"]


def __getattr__(name: str) -> object:
    """Loaded at first use: importing `aadc` loads neither torch nor anything else, which the commands' helps live on."""
    from importlib import import_module

    home = {"UserError": "aadc.manifests.errors", "VideoFeatures": "aadc.extract.video_features"}
    if name in ("extract", "metrics"):
        return import_module(f"aadc.{name}")  # modules themselves; the first is the stage, which can be called
    if name in __all__:
        return getattr(import_module(home.get(name, "aadc.python")), name)
    raise AttributeError(f"module 'aadc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
