"""Skip-gram training on one CPU, compiled by Numba. Imported where phase 1 needs it only."""
