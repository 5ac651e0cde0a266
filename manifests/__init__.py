"""Stage 0: what to process. Manifests (CSV), their class cards (TOML), builders for known data sets, the demo's scenes."""
