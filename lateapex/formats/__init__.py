"""Files of the DeepRacer world: reading and writing side by side, one module per kind of file."""
