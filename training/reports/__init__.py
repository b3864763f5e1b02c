"""Reports in words: the model card, and what it shares with the studies' reports.

Takes what the stages wrote; gives Markdown from the templates here. It computes figures only by `evaluation`.
"""
