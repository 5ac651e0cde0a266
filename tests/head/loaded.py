"""A bare model as a head that was read from disk."""

from aadc.head.checkpoint import LoadedHead
from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.head.window import Window
from aadc.manifests.card import Card, ClassEntry


def as_loaded(model: AnomalyHead, scored_by: Window | None = None, **settings) -> LoadedHead:
    classes = [ClassEntry(name=name, kind="abnormal" if at else "normal", prompt=name) for at, name in enumerate(model.classes)]
    return LoadedHead(
        model, HeadConfig(**settings), Card(title="T", classes=classes), "f" * 16, "", "0", {}, "0" * 64, window=scored_by
    )
