"""Puts the parts together: a job is a function of one config."""
