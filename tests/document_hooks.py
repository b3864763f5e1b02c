"""What schemathesis sends to the service, and what it checks beside the document.

SCHEMATHESIS_HOOKS names this module. Left alone, schemathesis would send bytes that are no image, and accept keys that
the document does not name. CALLS names the file that gets one line for each call, as JSON.
"""

import io
import json
import os
from pathlib import Path

import numpy as np
import schemathesis
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.transport.serialization import Binary

TILE = Path(__file__).parent.parent / "samples/tiles/MT_Blowhole/Imgs/exp1_num_317483.jpg"
DEFECTIVE = np.asarray(Image.open(TILE))
COLOURED = np.stack([DEFECTIVE, DEFECTIVE // 2, DEFECTIVE // 4], axis=2)  # is warned of
KINDS = ("PNG", "JPEG", "TIFF", "BMP")
MASKS = {"rows": {"pred"}, "rle": {"rle", "rle_string"}, "polygons": {"polygons"}, "none": set()}
VIEWS = ("mask", "overlay", "probability")
SOMETIMES = {"tile-warnings", "tile-part"}  # every model that the tests serve has the rest
OPEN = ("Figures", "Problem")  # what others add keys to


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def files(kind: str) -> st.SearchStrategy[bytes]:
    """Mostly an image of this kind; else one that breaks off, or no image."""
    defective, coloured = encoded(DEFECTIVE, kind), encoded(COLOURED, kind)
    sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
    small = sizes.flatmap(lambda size: arrays(np.uint8, size, fill=st.integers(0, 255)))
    any_image = small.map(lambda pixels: encoded(pixels, kind))
    whole = st.one_of(any_image, st.sampled_from([defective, coloured]))
    return st.one_of(whole, whole, st.just(defective[:1000]), st.binary(max_size=64))


for kind in KINDS:
    schemathesis.openapi.media_type(f"image/{kind.lower()}", files(kind))
schemathesis.openapi.format("binary", st.one_of([files(kind) for kind in KINDS]).map(Binary))


@schemathesis.hook
def before_generate_case(context, strategy):  # noqa: ARG001  schemathesis names its arguments
    """Ask for every type of answer, and for every format."""
    accepts = st.sampled_from([None, "application/json", "image/png", "image/png", "*", "text/html"])
    return st.builds(asking, strategy, accepts, st.sampled_from([None, *MASKS]), st.sampled_from([None, *VIEWS]))


def asking(case, accept, mask, view):
    """Set the header Accept, and in a correct request also what goes with it; name the part only once."""
    case.headers.update({"Accept": accept} if accept else {})
    if case.meta.generation.mode is GenerationMode.POSITIVE and case.operation.path.startswith("/analyze"):
        dropped = {"mask", "view", *(["part"] if isinstance(case.body, dict) else [])}
        wanted = {"view": view} if accept == "image/png" else {"mask": mask}
        kept = {name: value for name, value in (case.query or {}).items() if name not in dropped}
        case.query = kept | {name: value for name, value in wanted.items() if value}
    return case


@schemathesis.hook
def filter_failure(context, failure, case, response) -> bool:  # noqa: ARG001
    """Accept a part that is a number or null: in a form everything is text."""
    return "/properties/part (was string" not in failure.message


@schemathesis.hook
def before_load_schema(context, raw_schema) -> None:  # noqa: ARG001
    """Close every object, so that a key without a description is found."""
    for name, schema in raw_schema["components"]["schemas"].items():
        if name not in OPEN:
            close(schema)


def close(schema: dict) -> None:
    if "allOf" in schema:
        schema["unevaluatedProperties"] = False
        return
    for each in schema.get("properties", {}).values():
        close(each)
    if "properties" in schema:
        schema["additionalProperties"] = False


@schemathesis.check
def the_answer_is_what_the_query_asks_for(ctx, response, case) -> None:  # noqa: ARG001
    """The mask has the format of the query, and a picture has the headers."""
    if response.status_code != 200 or not case.operation.path.startswith("/analyze"):
        return
    if response.headers["content-type"][0] == "image/png":
        described = {name.lower() for name in case.operation.schema.raw_schema["components"]["headers"]}
        headers = {name for name in response.headers if name.startswith("tile-")}
        assert {name for name in described if name.startswith("tile-")} - SOMETIMES <= headers <= described
        assert Image.open(io.BytesIO(response.content)).text["Verdict"] == response.headers["tile-verdict"][0]
        return
    wanted = MASKS[(case.query or {}).get("mask") or "rows"]
    for each in response.json().get("images", [response.json()]):
        if "problem" not in each:
            assert wanted == each.keys() & set().union(*MASKS.values())
            assert each["defect_pixels"] == sum(defect["area"] for defect in each["defects"])


@schemathesis.hook
def after_call(context, case, response) -> None:  # noqa: ARG001
    """Write down what was answered."""
    call = {
        "path": case.operation.path,
        "status": response.status_code,
        "type": response.headers.get("content-type", [""])[0].partition(";")[0],
        "mask": (case.query or {}).get("mask"),
        "view": (case.query or {}).get("view"),
        "defects": b'"defects":[{' in response.content,
        "warnings": b'"warnings":[{' in response.content,
        "title": response.json()["title"] if response.status_code >= 400 and response.content else None,
    }
    with Path(os.environ["CALLS"]).open("a") as file:
        file.write(json.dumps(call) + "\n")
