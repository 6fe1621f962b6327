"""What becomes of the model's picture: the photo's own pattern and head in it, and the photo's background behind it."""
