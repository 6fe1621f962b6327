"""The body: its mesh, how it bends, how it stands."""
