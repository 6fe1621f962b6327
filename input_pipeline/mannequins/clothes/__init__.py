"""What people wear, hair included."""
