"""What is known of label lists of some sizes: which protocol of the paper they stand for, and whether sizes match."""

import re
from collections.abc import Collection

_WITH_1K = "the 1,000 training labels (DeViSE+1K)"
_DERIVED = "derived from WordNet in models/imagenet, not a public list"
_TWO_HOP = (
    "The public list has 1,549 labels and the paper's 1,589 (Tables 2 and 3): figures on them are near, not the same"
)
_THREE_HOP = "The public 3-hop list and the paper's have 7,860 labels (Tables 2 and 3)"
_REST = (
    "The public list of the rest of ImageNet-21K has 20,842 labels, as one of the 1,000 is not in ImageNet-21K; the "
    "paper's has 20,841 (Tables 2 and 3), which makes no difference that matters"
)
_MATCH = "Sizes match"

_KNOWN = {
    1000: ("ILSVRC-2012's list, the paper's training labels (Table 1)", _MATCH),
    1548: (f"within_1_hop.txt, {_DERIVED}", _TWO_HOP),
    1549: ("the public 2-hop list", _TWO_HOP),
    1589: ("the paper's 2-hop set", _MATCH),
    2548: (f"within_1_hop.txt, {_DERIVED}, with {_WITH_1K}", _TWO_HOP),
    2549: (f"the public 2-hop list with {_WITH_1K}", _TWO_HOP),
    2589: (f"the paper's 2-hop set with {_WITH_1K}", _MATCH),
    5989: (f"within_2_hops.txt, {_DERIVED}", _THREE_HOP),
    6989: (f"within_2_hops.txt, {_DERIVED}, with {_WITH_1K}", _THREE_HOP),
    7860: ("the 3-hop list, the public one and the paper's (Tables 2 and 3)", _MATCH),
    8860: (f"the 3-hop list, the public one and the paper's, with {_WITH_1K}", _MATCH),
    19167: (
        "ImageNet-21K in its winter 2021 release, which leaves out 2,674 labels",
        "The paper's is that of autumn 2011, of 21,841 labels",
    ),
    20841: ("the paper's rest of ImageNet-21K", f"{_MATCH}. {_REST}"),
    20842: ("the public list of the rest of ImageNet-21K", _REST),
    21841: (
        "ImageNet-21K in its autumn 2011 release, and of the paper's rest of it, 20,841, with " + _WITH_1K,
        _MATCH,
    ),
    21842: (f"the rest of ImageNet-21K with {_WITH_1K}", _REST),
}
# A size that other sets have as well: told by ids alone.
_KNOWN_BY_IDS = {200: ("Tiny ImageNet's list", "It is no set of the paper")}


def about_label_list(number: int, ids: Collection[str] = ()) -> str:
    """Says which well-known list a list of labels may be, what it stands for in the paper, and whether sizes match.

    Args:
        number: How many labels the list has.
        ids: Their ids, where known. Only lists of ImageNet's ids (`n02084071`) are well known.

    Returns:
        Sentences such as `"1,589 labels: the size of the paper's 2-hop set. Sizes match."`; empty for any other list.
    """
    known = _KNOWN | (_KNOWN_BY_IDS if ids else {})
    if number not in known or not all(re.fullmatch(r"n\d{8}", label) for label in ids):
        return ""
    what, match = known[number]
    return f"{number:,} labels: the size of {what}. {match}."
