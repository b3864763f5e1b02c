"""The defect types and their order: class k of the network (and of the served `type` tensor) is DEFECT_TYPES[k - 1]."""

DEFECT_TYPES = ("Blowhole", "Break", "Crack", "Fray", "Uneven")
