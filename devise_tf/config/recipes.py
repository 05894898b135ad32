"""Recipes of phase 3 beside the default one, as settings of a run."""

from typing import Any

RECIPES: dict[str, dict[str, Any]] = {
    # The paper's own: a hinge over one false label, and the vectors of first terms (section 3.3, appendix A.2). Its
    # margin, 0.1 there, and what it does not say were chosen on held-out photos (models/devise/README.md).
    "paper": {
        "devise_loss": "one",
        "margin": 1.0,
        "projection_learning_rate": 0.1,
        "descriptions": "",
    },
    # The paper's comparison: the distance to the label's vector in place of a ranking (section 3.3), at its least.
    "l2": {"devise_loss": "l2", "finetune_epochs": 0.0, "descriptions": ""},
    # Better zero-shot than the default's (models/devise/README.md): a label's similarities to the trained labels as its
    # vector, and the softmax's own view beside the projection's.
    "profiles": {
        "devise_loss": "softmax",
        "label_terms": "heads",
        "label_profiles": True,
        "softmax_weight": 1.0,
        "finetune_epochs": 0.0,
    },
}
