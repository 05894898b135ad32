"""How many labels term vectors cover."""

import dataclasses
from collections.abc import Mapping

from devise_tf.labels.label_set import LabelSet
from devise_tf.text.term_index import FOLDED, TermIndex


@dataclasses.dataclass(frozen=True)
class LabelCoverage:
    """What labels get their vectors from; ids by case, in the order of the labels.

    Attributes:
        first_whole: List of str. The first term has a vector.
        other_whole: List of str. Not the first, but another term has one.
        composed: List of str. No term has one, but all parts of a term have.
        missing: List of str. The rest.
        folded: List of str. Of the labels that have one of a whole term those whose term is not spelled like that.
    """

    first_whole: list[str]
    other_whole: list[str]
    composed: list[str]
    missing: list[str]
    folded: list[str]

    def table(self, images: Mapping[str, int] | None = None) -> str:
        """The numbers and shares as a Markdown table.

        Args:
            images: Mapping from str to int. Number of images of each label; adds a column of the images of each case.
        """
        whole = self.first_whole + self.other_whole
        folded = set(self.folded)
        cases = [
            ("first term whole", self.first_whole),
            ("any term whole", whole),
            ("- as it is spelled", [label for label in whole if label not in folded]),
            ("- folded", self.folded),
            ("composed from parts", self.composed),
            ("missing", self.missing),
            ("all labels", self.first_whole + self.other_whole + self.composed + self.missing),
        ]
        total = len(cases[-1][1])
        head, rule = f"| {'labels':<19} | number | share   |", f"| {'-' * 19} | -----: | ------: |"
        lines = [f"| {name:<19} | {len(ids):>6} | {100 * len(ids) / total:>5.1f} % |" for name, ids in cases]
        if images is not None:
            head, rule = head + " images    |", rule + " --------: |"
            counts = [sum(images.get(label, 0) for label in ids) for _, ids in cases]
            lines = [f"{line} {count:>9,} |" for line, count in zip(lines, counts, strict=True)]
        return "\n".join([head, rule, *lines])

    def listing(self, labels: LabelSet, most: int = 20) -> str:
        """Lines that name the composed and the missing labels, the first `most` of each; empty if there are none."""
        lines = []
        for case, ids in (("Composed from parts", self.composed), ("Missing", self.missing)):
            if ids:
                names = ", ".join(f"{label} ({labels.terms[labels.index[label]][0]})" for label in ids[:most])
                lines.append(f"{case}: {names}{', …' if len(ids) > most else ''}")
        return "\n".join(lines)

    def cases(self) -> dict[str, str]:
        """What each label's vector comes from, by id: `"whole"`, `"other term"`, `"composed"` or `"missing"`."""
        names = (("whole", self.first_whole), ("other term", self.other_whole), ("composed", self.composed))
        return {label: case for case, ids in (*names, ("missing", self.missing)) for label in ids}


def label_coverage(labels: LabelSet, index: TermIndex) -> LabelCoverage:
    """What labels get their vectors from, by the rule of `WordSpace`.

    Args:
        labels: LabelSet. The labels.
        index: TermIndex. Terms that have vectors.
    """
    coverage = LabelCoverage([], [], [], [], [])
    for label, terms in zip(labels.ids, labels.terms, strict=True):
        found = index.first(terms)
        if found.is_whole:
            is_first = index.find(terms[0]).is_whole
            (coverage.first_whole if is_first else coverage.other_whole).append(label)
            if found.how == FOLDED:
                coverage.folded.append(label)
        else:
            (coverage.composed if found.rows else coverage.missing).append(label)
    return coverage
