"""The published dataset's defect types, in the order of its network's classes: class k is DEFECT_TYPES[k - 1]."""

DEFECT_TYPES = ("Blowhole", "Break", "Crack", "Fray", "Uneven")
