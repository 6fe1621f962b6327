"""SCRN and other methods as Flax modules: start reading at base.py, then scrn/generator.py."""
