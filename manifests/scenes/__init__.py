"""Seeded synthetic scenes for the demo, the tests and the miniature models."""
