"""The check of a data set: python -m input_pipeline.check."""
