"""The one thing everybody has to know who sees an answer of the miniature models."""

from collections.abc import Mapping

from aadc.manifests.scenes import SOURCE

SCENES_ONLY = "miniature models: they know this project's drawn scenes alone and say nothing of real video"


def caution(models: Mapping, source: str = "") -> str | None:
    """A sentence for commands, reports and pictures where miniature models looked at anything but drawn scenes, else None.

    Args:
        models: as a shard's header and run.json have them, `detector` and `clip` with their `source`.
        source: of the data set, as its class card says; empty for videos of no data set.
    """
    sources = [str(model.get("source", "")) for model in models.values() if isinstance(model, Mapping)]
    miniature = any(
        one == "miniature" or one.replace("\\", "/").rstrip("/").endswith(("miniature/detr", "miniature/clip"))
        for one in sources
    )
    return SCENES_ONLY if miniature and source != SOURCE else None
