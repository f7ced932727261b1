"""Parts of the command line that have commands of their own: reads flags, prints what jobs say, nothing else."""
