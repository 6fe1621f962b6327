"""What everything else stands on and that knows nothing of people or models."""
