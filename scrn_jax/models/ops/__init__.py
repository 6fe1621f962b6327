"""Convolutions with the same numbers as XLA's, computed otherwise where XLA is slow on a CPU."""
