"""Places that records go to; none of them knows who made a record."""
