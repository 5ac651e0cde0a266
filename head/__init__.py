"""Stage 2: shards -> multiscale temporal network, anomaly head, MIL-Align categorizer -> checkpoint."""
