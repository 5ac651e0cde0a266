"""Stage 1: videos -> DETR boxes and features, CLIP embeddings of the cropped boxes -> HDF5 shards."""

import sys
from types import ModuleType
from typing import Any

from aadc.manifests import waiting as waiting  # before torch is loaded


class _Stage(ModuleType):
    """Python puts a package under its name into the one around it: `aadc.extract` is this package as soon as anything in it
    was imported. So that `aadc.extract(...)` means the function whatever was imported before, the package can be called."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        from aadc.python import extract

        return extract(*arguments, **settings)


sys.modules[__name__].__class__ = _Stage
