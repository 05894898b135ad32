"""Groups of labels for pictures, from their hierarchy."""

from collections.abc import Mapping, Sequence

from devise_tf.labels.hierarchy import Hierarchy


def label_groups(ids: Sequence[str], hierarchy: Hierarchy, limit: int = 12) -> dict[str, tuple[str, ...]]:
    """Puts labels in a few groups of about the same size, by the branches of their hierarchy.

    Beginning with all labels in one group, the largest group is split into the largest branch below its node and the
    rest, until there are `limit` groups. If the rest is but a few labels, they have no group.

    Args:
        ids: Sequence of str. Label ids.
        hierarchy: Hierarchy. Their hierarchy.
        limit: int, at least 2. Largest number of groups, besides the labels without one.

    Returns:
        For each id a group, as nodes of the hierarchy: `(node,)` for what is below one node, several, the largest
        first, for the rest of a branch, and `()` for a label without a group or not in the hierarchy.

    Raises:
        ValueError: `limit` is below 2.
    """
    if limit < 2:
        raise ValueError(f"`limit` must be at least 2. Received: {limit=}")
    groups: dict[str, tuple[str, ...]] = dict.fromkeys(ids, ())
    inside = [label for label in ids if label in hierarchy]
    if not inside:
        return groups
    branches = _Branches(inside, hierarchy)
    for members, node in _split(inside, branches, limit):
        # A rest is named by what is in it, for its node has other groups below it.
        whole = len(members) == sum(1 for label in inside if node in branches.above[label])
        lowest = (branches.lowest(part, child) for part, child in branches.of(members, node))
        groups |= dict.fromkeys(members, (node,) if whole else tuple(lowest))
    return groups


def _split(labels: list[str], branches: "_Branches", limit: int) -> list[tuple[list[str], str]]:
    """Groups of labels, each with the lowest node above all of them."""
    least = max(2, round(0.02 * len(labels)))
    growing = [(labels, branches.lowest(labels, ""))]
    done: list[tuple[list[str], str]] = []
    while growing and len(growing) + len(done) < limit:
        growing.sort(key=lambda group: len(group[0]))
        members, node = growing.pop()
        largest, child = branches.of(members, node)[0]
        if len(largest) < least or child == node:
            done.append((members, node))
            continue
        growing.append((largest, branches.lowest(largest, child)))
        in_largest = set(largest)
        rest = [label for label in members if label not in in_largest]
        if len(rest) >= least:
            growing.append((rest, branches.lowest(rest, node)))
    return growing + done


class _Branches:
    """The hierarchy above some labels; its roots are below ""."""

    def __init__(self, labels: Sequence[str], hierarchy: Hierarchy):
        self.above = {label: hierarchy.ancestors(label) | {label} for label in labels}
        self._children: dict[str, list[str]] = {"": []}
        for node in sorted(set().union(*self.above.values())):
            for parent in hierarchy.parents[node] or [""]:
                self._children.setdefault(parent, []).append(node)

    def of(self, members: list[str], node: str) -> list[tuple[list[str], str]]:
        """The labels below each child of a node, largest first, each label once; last those that are below none."""
        result: list[tuple[list[str], str]] = []
        while members:
            children = self._children.get(node, ())
            below = {child: [label for label in members if child in self.above[label]] for child in children}
            child = max(below, key=lambda child: len(below[child]), default="")
            if not below.get(child):
                return [*result, (members, node)]
            result.append((below[child], child))
            members = [label for label in members if child not in self.above[label]]
        return result

    def lowest(self, members: list[str], node: str) -> str:
        """The lowest node below `node` that all of the labels are below."""
        children = self._children
        while child := next((c for c in children.get(node, ()) if all(c in self.above[m] for m in members)), None):
            node = child
        return node


def group_names(groups: Mapping[str, tuple[str, ...]], names: Mapping[str, str]) -> dict[str, str]:
    """Names of the groups by label: "dog", "bird, reptile, …", "other"; nodes without a name have their id."""
    result = {}
    for label, nodes in groups.items():
        shown = [names.get(node, node) for node in nodes[:2]] + ["…"] * (len(nodes) > 2)
        result[label] = ", ".join(shown) or "other"
    return result


def top_ancestors(ids: Sequence[str], hierarchy: Hierarchy, levels: int = 3) -> dict[str, list[str]]:
    """The ancestors of each label from the top, without those that all of them share; "" where there are none."""
    paths: dict[str, list[str]] = {}
    for label in ids:
        path: list[str] = []
        node = label
        while node in hierarchy and hierarchy.parents[node]:
            node = hierarchy.parents[node][0]
            path.append(node)
        paths[label] = path[::-1]
    shared = 0
    rows = [path for label, path in paths.items() if label in hierarchy]
    while rows and all(len(path) > shared for path in rows) and len({path[shared] for path in rows}) == 1:
        shared += 1
    return {label: (path[shared:] + [""] * levels)[:levels] for label, path in paths.items()}
