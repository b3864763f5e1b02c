"""What .github/workflows does: each step there is one `python -m workflows.…`, which also runs on a laptop.

    runner      a machine with a GPU on EC2: launched by CML, always terminated
    reproduce   dvc pull, dvc push, dvc repro
    publish     one commit of the files that git keeps, pushed to the branch
    comment     the results, compared with the target branch, on the pull request
    image       the container image of a commit
    deploy      that image on Heroku, tested there, rolled back if it fails; recorded as a release if it passes on dev
    smoke       real images to POST /analyze
    sbom        what is installed in each image, as CycloneDX documents

Each outside program or service has one module: cml, registry (skopeo), github, heroku. Nothing imports this package. It
imports neither torch nor the proxy; of training, only what reads, names and prints its figures.
"""
