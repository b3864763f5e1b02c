"""Reports: the model card, and the code that it shares with the studies' reports.

Makes Markdown from the templates here and what the stages wrote. It computes figures only with `evaluation`.
"""
