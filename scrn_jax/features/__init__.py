"""What was scrn_jax.models.pretrained once, for one release: its command `python -m scrn_jax.features.convert`."""
