"""Ordinary English for the tokenizer: the course's own words, and a list of common ones."""

from __future__ import annotations

import json

from sdlearn import _resources

COMMON = (
    "the of and to a in is it you that he was for on are with as his they at be this from have "
    "or by one had not but what all were when we there can an your which their said if do will "
    "each about how up out them then she many some so these would other into has more her two "
    "like him see time could no make than first been its who now people my made over did down "
    "only way find use may water long little very after words called just where most know get "
    "through back much before go good new write our used me man too any day same right look "
    "think also around another came come work three word must because does part even place well "
    "such here take why things help put years different away again off went old number great "
    "tell men say small every found still between name should home big give air line set own "
    "under read last never us left end along while might next sound below saw something thought "
    "both few those always looked show large often together asked house don't world going want "
    "school important until form food keep children feet land side without boy once animals life "
    "enough took sometimes four head above kind began almost live page got earth need far hand "
    "high year mother light parts country father let night following picture being study second "
    "eyes soon times story boys since white days ever paper hard near sentence better best "
    "across during today however sure means knew it's try told young miles sun ways thing whole "
    "hear example heard several change answer room sea against top turned learn point city play "
    "toward five using himself usually money seen didn't car morning given trees face sky beach "
    "dream photograph painting drawing portrait woman gentleman guy girl beautiful detailed "
    "colour colourful bright dark soft sharp sunset mountain forest river lake ocean castle "
    "street garden window door table chair book flower horse bear lion tiger mouse monkey "
    "elephant snake butterfly dragon knight king queen prince wizard astronaut space planet moon "
    "rocket ship train bicycle road bridge tower village"
)


def prose() -> list[str]:
    """Sentences to learn ordinary words from; the lessons' text where the lessons are at hand."""
    texts = [COMMON]
    for path in _resources.lessons():
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    return texts
