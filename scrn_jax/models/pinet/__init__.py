"""PINet (Zhang et al., Pacific Graphics 2020): a parsing map of the target first, the picture from it, gated layers."""
