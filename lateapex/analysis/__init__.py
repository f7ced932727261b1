"""What a finished run looks like; reads records and policies, never a running job."""
