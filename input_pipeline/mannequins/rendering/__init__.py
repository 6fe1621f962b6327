"""From meshes to pictures."""
