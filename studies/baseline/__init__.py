"""The first public project's recipe on our honest folds; `python -m studies.crossval baseline-4` runs it."""
