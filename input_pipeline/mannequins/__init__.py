"""Embedded people: rendered from a small rigged human mesh, with exact joints, parsing labels and face boxes."""
