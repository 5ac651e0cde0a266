"""What happened, in words (paper III-F): a language model writes, a checker compares, only the true goes out."""
