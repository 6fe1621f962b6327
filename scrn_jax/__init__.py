"""SCRN, the Stepwise Change and Refine Network for human pose transfer, in JAX."""
