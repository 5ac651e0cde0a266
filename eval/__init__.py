"""Stage 3: checkpoint -> frame scores, benchmark metrics, spans, report."""
