"""How many labels term vectors cover."""

import dataclasses
from collections.abc import Collection

from devise_tf.data.label_set import LabelSet
from devise_tf.text.term_vectors import term_rows


@dataclasses.dataclass(frozen=True)
class LabelCoverage:
    """How the vectors of labels are found; ids by case, in the order of the labels.

    Attributes:
        first_whole: The first term has a vector of its own.
        other_whole: Not the first, but another term has one.
        composed: No term has one, but all words of a term have.
        missing: The rest.
    """

    first_whole: list[str]
    other_whole: list[str]
    composed: list[str]
    missing: list[str]

    def table(self) -> str:
        """The numbers and shares as a Markdown table."""
        total = sum(len(getattr(self, field.name)) for field in dataclasses.fields(self))
        rows = [
            ("first term whole", len(self.first_whole)),
            ("any term whole", len(self.first_whole) + len(self.other_whole)),
            ("composed from words", len(self.composed)),
            ("missing", len(self.missing)),
            ("all labels", total),
        ]
        lines = [f"| {name:<19} | {count:>6} | {100 * count / total:>5.1f} % |" for name, count in rows]
        return "\n".join([f"| {'labels':<19} | number | share   |", f"| {'-' * 19} | -----: | ------: |", *lines])


def label_coverage(labels: LabelSet, terms: Collection[str]) -> LabelCoverage:
    """Counts how labels are found among terms that have vectors, by the rule of `make_label_vectors`."""
    index = {term: row for row, term in enumerate(terms)}
    coverage = LabelCoverage([], [], [], [])
    for label, names in zip(labels.ids, labels.normalized_terms(), strict=True):
        rows = term_rows(names, index)
        if names[0] in index:
            coverage.first_whole.append(label)
        elif len(rows) == 1:
            coverage.other_whole.append(label)
        else:
            (coverage.composed if rows else coverage.missing).append(label)
    return coverage
