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
    inside = [label for label in ids if label in hierarchy]
    groups: dict[str, tuple[str, ...]] = dict.fromkeys(ids, ())
    if not inside:
        return groups
    above = {label: hierarchy.ancestors(label) | {label} for label in inside}
    children: dict[str, list[str]] = {"": []}  # The roots are below "".
    for node in sorted(set().union(*above.values())):
        for parent in hierarchy.parents[node] or [""]:
            children.setdefault(parent, []).append(node)

    def branches(members: list[str], node: str) -> list[tuple[list[str], str]]:
        """The labels below each child of a node, largest first, each label once."""
        result: list[tuple[list[str], str]] = []
        while members:
            below = {child: [label for label in members if child in above[label]] for child in children.get(node, ())}
            child = max(below, key=lambda child: len(below[child]), default="")
            if not below.get(child):
                return [*result, (members, node)]
            result.append((below[child], child))
            members = [label for label in members if child not in above[label]]
        return result

    def lowest(members: list[str], node: str) -> str:
        """The lowest node below `node` that all of the labels are below."""
        while child := next((c for c in children.get(node, ()) if all(c in above[m] for m in members)), None):
            node = child
        return node

    least = max(2, round(0.02 * len(inside)))
    growing = [(inside, lowest(inside, ""))]
    done: list[tuple[list[str], str]] = []
    while growing and len(growing) + len(done) < limit:
        growing.sort(key=lambda group: len(group[0]))
        members, node = growing.pop()
        largest, child = branches(members, node)[0]
        inside_largest = set(largest)
        rest = [label for label in members if label not in inside_largest]
        if len(largest) < least or child == node:
            done.append((members, node))
        else:
            growing.append((largest, lowest(largest, child)))
            if len(rest) >= least:
                growing.append((rest, lowest(rest, node)))
    for members, node in growing + done:
        # A rest is named by what is in it, for its node has other groups below it.
        whole = len(members) == sum(1 for label in inside if node in above[label])
        nodes = (node,) if whole else tuple(lowest(part, child) for part, child in branches(members, node))
        groups |= dict.fromkeys(members, nodes)
    return groups


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
