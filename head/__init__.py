"""Stage 2: shards -> multiscale temporal network, anomaly head, MIL-Align categorizer -> checkpoint."""

from aadc.manifests import waiting as waiting  # before torch is loaded
