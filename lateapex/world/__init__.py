"""What is there: track, vehicle, scene. Plain NumPy, immutable; nothing here moves."""
