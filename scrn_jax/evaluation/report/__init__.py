"""Reports, for programs and for people."""
