"""How good pictures are: a run on held-out people, and any two folders of pictures."""
