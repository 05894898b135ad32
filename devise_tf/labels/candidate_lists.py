"""Lists of labels that come with the package or with WordNet, by name."""

from devise_tf.labels.label_set import LabelSet
from devise_tf.labels.wordnet import wordnet_labels
from devise_tf.packaged import packaged_files

LISTS = {"imagenet1k": "labels_1k", "imagenet21k": "labels_21k"}


def candidate_labels(name: str) -> LabelSet:
    """The labels of `--candidates`: one of `LISTS`, `wordnet` or `wordnet:DIR`.

    Raises:
        ValueError: There is no such list, or WordNet is not there or unsound.
    """
    if name in LISTS:
        return LabelSet.load(packaged_files("labels")[LISTS[name]])
    kind, _, folder = name.partition(":")
    if kind != "wordnet":
        names = ", ".join([*LISTS, "wordnet", "wordnet:DIR"])
        raise ValueError(f"`candidates` must be one of {names}. Received: --candidates={name}")
    try:
        return wordnet_labels(folder or None)
    except FileNotFoundError as error:
        raise ValueError(
            f"{str(error).partition(' Install it')[0]} Install it (Debian: `apt install wordnet-base`), or name its "
            f"folder: --candidates=wordnet:DIR. Received: --candidates={name}"
        ) from error
