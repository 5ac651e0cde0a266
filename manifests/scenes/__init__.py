"""Seeded synthetic scenes for the demo, the tests and the miniature models."""

SOURCE = "drawn by aadc.manifests.scenes"  # what the class card of every set of scenes gives as its source
