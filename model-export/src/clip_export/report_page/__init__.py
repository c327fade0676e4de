"""The HTML page of what verify measured: one file, which asks no host for anything."""
