"""Names that stand for several described labels."""

import re
from collections.abc import Mapping

from devise_tf.labels.label_set import LabelSet
from devise_tf.labels.word_space import WordSpace
from devise_tf.text.term_index import folded_key

_WITH_SENSE = re.compile(r"(.+)_\(.+\)")


def senses_by_name(space: WordSpace, labels: LabelSet) -> Mapping[str, list[str]]:
    """What a name may mean where its vector is that of described labels.

    Args:
        space: WordSpace. Its described terms name senses in brackets: `kite_(bird)`.
        labels: LabelSet. Labels with ids of synsets, of which some are described.

    Returns:
        By folded name the names of its senses, each of which names that sense alone: `"kite (bird)"`, `"n02012849"`. A
        name with several stands for their mean.
    """
    senses: dict[str, list[str]] = {}
    for term in space.described:
        if match := _WITH_SENSE.fullmatch(term):
            senses.setdefault(folded_key(match[1]), []).append(term.replace("_", " "))
    for label, terms in zip(labels.ids, labels.terms, strict=True):
        if label in space.described:
            senses.setdefault(folded_key(terms[0]), []).append(label)
    return {
        name: sorted(named)
        for name, named in senses.items()
        if name in space.described and (len(named) > 1 or "(" in named[0])
    }
