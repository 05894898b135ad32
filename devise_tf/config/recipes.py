"""Recipes of phase 3 beside the paper's, as settings of a run."""

from typing import Any

RECIPES: dict[str, dict[str, Any]] = {
    # The paper's comparison: the distance to the label's vector in place of a ranking (section 3.3).
    "l2": {"devise_loss": "l2"},
    # Better zero-shot than the paper's (models/devise/README.md): all terms of a label, its similarities to the trained
    # labels as its vector, every false label in the loss, and the softmax's own view beside the projection's.
    "profiles": {
        "devise_loss": "softmax",
        "label_terms": "heads",
        "label_profiles": True,
        "softmax_weight": 1.0,
        "finetune_epochs": 0.0,
    },
}
