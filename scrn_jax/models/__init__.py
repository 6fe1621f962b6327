"""SCRN's networks as Flax modules: start reading at scrn.py."""
