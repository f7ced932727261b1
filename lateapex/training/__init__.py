"""Turns experience into better policies."""
