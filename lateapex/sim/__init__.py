"""Compiled physics and sensors: arrays in, arrays out; no files, no Gymnasium, no torch."""
