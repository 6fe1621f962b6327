"""SCRN, the Stepwise Change and Refine Network."""
