"""The label audit: `python -m studies.audit` compares each mask with those of the other photographs of its tile."""
