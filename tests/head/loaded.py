"""A bare model as a head that was read from disk."""

from aadc.head.checkpoint import LoadedHead
from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.head.window import Window
from aadc.manifests.card import Card, ClassEntry


def as_loaded(
    model: AnomalyHead, scored_by: Window | None = None, rule: str = "paper", normal: int = 1, **settings
) -> LoadedHead:
    """`normal`: so many classes, the first ones, are normal."""
    kinds = ["normal"] * normal + ["abnormal"] * len(model.classes)
    classes = [ClassEntry(name=name, kind=kind, prompt=name) for name, kind in zip(model.classes, kinds, strict=False)]
    config, card = HeadConfig(rule=rule, **settings), Card(title="T", classes=classes)
    return LoadedHead(model, config, card, "f" * 16, "", "0", {}, "0" * 64, window=scored_by)
