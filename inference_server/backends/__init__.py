"""Backends that Triton finds by their folders' names; copied into the run folder, never imported by the launcher."""
