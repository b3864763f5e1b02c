"""From a folder of photographs, as people and labelling tools lay them out, to the table that data_load reads.

`python -m training.own_data FOLDER` writes the table and looks at the data before anybody trains on it. One module
reads one layout; `layouts` chooses. It must not know torch, and no stage needs it.
"""
