"""Live (paper IV-D): cameras -> snippets -> scores -> events that are never lost, with times and words."""

from aadc.manifests import waiting as waiting  # before torch is loaded
