"""Triton finds a backend by its folder's name. The launcher copies these folders and imports none of them."""
