"""A data set prepared as records, once: python -m input_pipeline.prepare."""
