"""Stage 1: videos -> DETR boxes and features, CLIP embeddings of the cropped boxes -> HDF5 shards."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from aadc.manifests import waiting as waiting  # before torch is loaded


class _Stage(ModuleType):
    """Python puts a package under its name into the one around it: `aadc.extract` is this package as soon as anything in it
    was imported. So that `aadc.extract(...)` means the function whatever was imported before, the package can be called."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        from aadc.python import extract

        return extract(*arguments, **settings)

    def __reduce__(self) -> tuple[Any, ...]:
        """So that it can be sent to another process, as functions can."""
        return import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Stage
