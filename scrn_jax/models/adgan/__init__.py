"""ADGAN, the Attribute-Decomposed GAN."""
