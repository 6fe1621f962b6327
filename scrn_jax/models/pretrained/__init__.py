"""Frozen networks that look at images: VGG, AlexNet, Inception, and where their weights come from."""
