"""How well a preset finds names that people type, on photos in folders.

  python -m tests.benchmarks.named_photos --photos=everyday-photos/grocery/val
  python -m tests.benchmarks.named_photos --photos=imagenet-photos/val --general="dog,cat,bird,vehicle,fruit"
  python -m tests.benchmarks.named_photos --photos=everyday-photos/clothing/val --beside=imagenet1k

`--photos` is a folder with a folder of photos for each name, "_" for spaces; the names are the candidates. With
`--general` the folders are ids of ImageNet's labels, and each photo counts under the one of these general names that is
above its label in the hierarchy; photos under none or several are left out. With `--beside` that list's labels are
candidates, too.
Figures are hit@1 and hit@5 in per cent, with 95 % intervals (bootstrap over photos).
"""

import glob
import os
import sys

import numpy as np
from absl import flags

from devise_tf import command
from tests.benchmarks import harness


def define_flags(define: command.Definitions) -> None:
    define.string("photos", None, "Folder with a folder of photos for each name, or for each label id.", required=True)
    define.string("preset", "efficientnet_lite0", "The preset.")
    define.list("models", ["profiles", "devise", "conse"], "Its models.")
    define.list("general", [], "General names, of the labels below them.")
    define.string("beside", "", "Label list of further candidates, such as imagenet1k.")
    define.bool("each", False, "Print the figures of each name, too.")


def main(_: list[str], values: flags.FlagValues) -> None:
    import devise_tf.models

    files = sorted(glob.glob(os.path.join(os.path.expanduser(values.photos), "*", "*")))
    names = [os.path.basename(os.path.dirname(file)).replace("_", " ") for file in files]
    if not files:
        raise command.UsageError(f"`photos` must hold folders of photos. Received: --photos={values.photos}")
    if values.general:
        above = general_names([name.replace(" ", "_") for name in names], values.general)
        files, names = zip(*((f, a) for f, a in zip(files, above, strict=True) if a), strict=True)
    candidates = list(dict.fromkeys(names))
    rows = []
    for model in values.models:
        predictor = devise_tf.models.load(values.preset, model)
        ranks = ranks_of(predictor, files, names, [*candidates, *others(values.beside, candidates)])
        rows.append([model, *(harness.share(ranks < k) for k in (1, 5))])
        for name in candidates if values.each else ():
            own = ranks[[other == name for other in names]]
            hits = "  ".join(f"hit@{k} {100 * np.mean(own < k):5.1f}" for k in (1, 5))
            print(f"{model:10} {name:32} {len(own):4} photos  {hits}")
    beside = f", the labels of {values.beside} beside them" if values.beside else ""
    print(f"{len(files)} photos, {len(candidates)} names{beside}")
    print(harness.markdown_table(["model", "hit@1 %", "hit@5 %"], rows))


def general_names(labels: list[str], general: list[str]) -> list[str]:
    """For each label the one general name above it; empty where there is none, or several."""
    from devise_tf.labels import Hierarchy
    from devise_tf.labels.candidate_lists import candidate_labels

    hierarchy, listed = Hierarchy.open("imagenet"), candidate_labels("imagenet21k")
    result = []
    for label in labels:
        terms = [listed.terms[listed.index[above]][0] for above in hierarchy.ancestors(label) if above in listed]
        found = [name for name in general if name in terms]
        result.append(found[0] if len(found) == 1 else "")
    return result


def others(beside: str, names: list[str]) -> list[str]:
    """First terms of a list's labels, without those that are among the names."""
    from devise_tf.labels.candidate_lists import candidate_labels

    if not beside:
        return []
    firsts = [terms[0] for terms in candidate_labels(beside).terms]
    taken = {name.casefold() for name in names}
    return [name for name in dict.fromkeys(firsts) if name.casefold() not in taken]


def ranks_of(predictor, files: list[str], names: list[str], candidates: list[str]) -> np.ndarray:
    """Of each photo how many candidates come before its name; a name that is unknown comes last."""
    ranks = []
    most = len(candidates)
    for batch in predictor.prepared(files, 50):
        answers, _ = predictor.predict_pixels(np.stack(batch), candidates, most)
        for answer in answers:
            answered = [entry.label for entry in answer]
            own = names[len(ranks)]
            ranks.append(answered.index(own) if own in answered else most)
    return np.array(ranks)


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv)


if __name__ == "__main__":
    sys.exit(run())
