"""The DVC stages: one module with one main() each, run as `python -m training.stages.<stage>` from the repository root.

A main() reads params.yaml, calls the other folders and writes the stage's outputs. It contains no logic, and no module
imports a stage.
"""
