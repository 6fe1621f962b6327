"""The old place of `scrn_jax.models.pretrained`, for one release: its command `python -m scrn_jax.features.convert`."""
