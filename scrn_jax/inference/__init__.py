"""Using a trained model: from a photo and a pose to a picture."""
