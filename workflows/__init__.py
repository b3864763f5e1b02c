"""What .github/workflows does: each step there is one `python -m workflows.…`, and a laptop runs it, too.

    runner      a machine with a GPU on EC2: launched by CML, always terminated
    reproduce   dvc pull, dvc repro
    publish     dvc push, and one commit of what git keeps, pushed to the branch
    report      what came out, beside the target branch
    image       the container image of a commit: built once, recorded as a release
    deploy      that image on Heroku, smoke-tested, rolled back when it fails
    smoke       real tiles to POST /analyze

Outside programs and services stand behind one module each: cml, registry (skopeo), github, heroku. Nothing imports this
package; it knows neither torch nor the proxy.
"""
