"""Stage 3: checkpoint -> frame scores, benchmark metrics, spans, report."""

from aadc.manifests import waiting as waiting  # before torch is loaded
