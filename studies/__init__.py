"""Programs that measure or explain `training`; the pipeline does not need them.

    crossval, report    the runs of every protocol (tables/), and the report on them with intervals; own_recipe, runs,
                        differences, int8, judged, report_reliability, report_rows, report_tiles and report_verdicts are
                        their parts
    misses              which defects the networks of all folds miss
    literature          the published ways to score
    consensus           scored against what most masks of a tile say (consensus_masks), laid onto one another by
                        registration and tile_frames, which the audit uses as well
    baseline/           the first public project's recipe on our folds
    compare             is an experiment really better, or only by chance?
    paired              the same for two recipes, on the test images of all folds
    browse              draws images, their masks and what is found, on a sheet (browse_sheet)
    plots_page          all plots on one page, which works offline
    audit/              finds labels that contradict the photographs of the same tile

They read what the stages wrote, and write tables and Markdown into this folder. `training` must not import them.
"""
