"""What the evaluator should find, from the paper's text in plain Python: one image at a time, by sorting and sets."""

import math

import numpy as np

from tests.helpers.made_up import EMBEDDING, NOT_A_NUMBER


def correct_set(neighbors, label, k, valid):
    """Appendix A.3: while there are fewer than k, all valid labels exactly R hops away; R rises by one."""
    links = {frozenset((a, b)) for a, others in neighbors.items() for b in others}
    distance, edge = {label: 0}, [label]
    for node in edge:
        for other in {other for link in links if node in link for other in link} - set(distance):
            distance[other] = distance[node] + 1
            edge.append(other)
    result, hops = set(), 0
    while len(result) < k and hops <= max(distance.values()):
        result |= {other for other in valid if distance.get(other) == hops}
        hops += 1
    return result


def entries(world, model, ids, query):
    """What a model scores: (score, order, the labels that it stands for), as the paper has it."""
    values = np.where(query == NOT_A_NUMBER, np.nan, query.astype(float))
    if model == "softmax":
        scored = [(values[world.outputs.index(label)], [label]) for label in ids if label in world.outputs]
    else:
        values = values[EMBEDDING] - 3
        if model == "devise":
            scored = [(world.label_vectors[label] @ values, [label]) for label in ids if label in world.label_vectors]
        else:
            terms = {term: vector for label in ids for term, vector in world.term_vectors[label].items()}
            scored = [
                (vector @ values, [label for label in ids if term in world.term_vectors[label]])
                for term, vector in terms.items()
            ]
    return [(score, order, labels) for order, (score, labels) in enumerate(scored) if not math.isnan(score)]


def answers(world, model, ids, query, k):
    """The first k answers; by terms (appendix A.2) from the 4k nearest, each label at its first place."""
    ranked = sorted(entries(world, model, ids, query), key=lambda entry: (-entry[0], entry[1]))
    if model == "terms":
        ranked = ranked[: 4 * k]
    return list(dict.fromkeys(label for _, _, labels in ranked for label in labels))[:k]


def answer_with_penalty(world, model, query, penalty):
    """The first answer among all labels if `penalty` is taken from seen ones; the unseen one where they are equal."""
    best = []
    for score, order, labels in entries(world, model, [*world.unseen, *world.seen], query):
        best += [
            (score - penalty, 0, -order, -i, label) if label in world.seen else (score, 1, -order, -i, label)
            for i, label in enumerate(labels)
        ]
    return max(best)[-1] if best else None
