"""From files to batches: embedded people, folders and sharded records, streamed by tf.data."""
