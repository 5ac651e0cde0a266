"""What happened, in words (paper III-F): a language model writes, a checker compares with the detections, only the true goes out."""
