"""What a data set looks like on disk: one file a format. No TensorFlow."""
