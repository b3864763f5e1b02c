"""A report → an answer's body and headers, as JSON or PNG."""

import string
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

import orjson

from proxy.mask_formats import MASKS
from proxy.png_chunks import add_texts, black_png
from proxy.report import Report, describe_model, figures
from proxy.views import VIEWS, encode

JSON, PNG = "application/json", "image/png"
OFFERS = (JSON, PNG)  # the first is the default
HARMLESS = string.punctuation.replace("%", "") + " "  # in a header; a percent sign is what begins another character


class Representation(NamedTuple):
    """An answer's body and its additional headers."""

    body: bytes
    headers: Mapping[str, str]


def represent_json(report: Report, mask: str) -> Representation:
    """Return all figures, and last the mask in this format."""
    document = {
        "part": report.part,
        **figures(report),
        "model": describe_model(report.analysis.model, report.sha256),
        **MASKS[mask](report.analysis),
    }
    return Representation(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), {})


def represent_png(report: Report, view: str) -> Representation:
    """Return a picture with the figures as headers, and as texts in the picture itself."""
    texts = summary(report)
    headers = {f"Tile-{name}": text for name, text in texts.items()}
    if report.part is not None:
        headers["Tile-Part"] = in_header(report.part)
    return Representation(add_texts(_picture(report, view), texts), headers)


def _picture(report: Report, view: str) -> bytes:
    if view == "mask" and not report.analysis.defect_pixels:
        return black_png(*report.analysis.mask.shape)
    return encode(VIEWS[view](report), quick=view != "mask")


def summary(report: Report) -> dict[str, str]:
    """Return the figures and the model as texts, without those that have no value."""
    analysis, model = report.analysis, report.analysis.model
    texts = {
        "Verdict": analysis.verdict,
        "Defective": _yes(analysis.defective),
        "Defect-Pixels": str(analysis.defect_pixels),
        "Defects": str(analysis.labels.regions if analysis.labels else 0),  # not measured for their number alone
        "Score": str(analysis.score),
        "Alarm-Score": str(analysis.point.alarm_score),
        "Threshold": str(analysis.threshold),
        "Type": analysis.majority_type or "none",
        "Familiar": _yes(analysis.familiar),
        "Novelty": None if analysis.novelty is None else str(analysis.novelty),
        "Warnings": ",".join(each.code for each in report.warnings) or None,
        "Part": report.part,
        "Model": f"{model.name}/{model.version}",
        "Model-Sha256": report.sha256,
        "Model-Commit": model.commit,
        "Model-Dirty": _yes(model.dirty),
        "Model-Data": model.data,
    }
    return {name: text for name, text in texts.items() if text is not None}


def in_header(text: str) -> str:
    """Return a text as a header can have it: `urllib.parse.unquote` gives it back."""
    return quote(text, safe=HARMLESS if text == text.strip() else HARMLESS.strip())


def _yes(fact: bool) -> str:
    return "true" if fact else "false"
