"""The page: its server, and the files that a browser gets."""
