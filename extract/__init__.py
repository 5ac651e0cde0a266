"""Stage 1: videos -> DETR boxes and features, CLIP embeddings of the cropped boxes -> HDF5 shards."""

from aadc.manifests import waiting as waiting  # before torch is loaded
