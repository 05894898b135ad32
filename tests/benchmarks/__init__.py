"""Benchmarks of skip-gram training against gensim and fastText: command lines, none of which a run of DeViSE needs."""
