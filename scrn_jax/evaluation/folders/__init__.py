"""Evaluation of folders of images that any method made: matched, measured by a named protocol, and reported."""
