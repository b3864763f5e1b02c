"""What stands beside the pipeline: it measures or explains `training`, and the pipeline never needs it.

    crossval, report    every protocol's runs (tables/), and their report with intervals
    literature          the published ways to score
    baseline/           the first public project's recipe on our folds
    compare             experiments against each other; better, or lucky?
    browse              images, masks and what is found, drawn
    audit/              which labels contradict the photographs of the same tile

Takes what the stages wrote; gives tables and Markdown beside itself. `training` must not import it.
"""
