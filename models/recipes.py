"""Recipes of phase 3 beside the paper's, as settings of a run (`devise_tf.training.Config`)."""

RECIPES = {
    # The paper's comparison: the distance to the label's vector in place of a ranking (section 3.3).
    "l2": {"devise_loss": "l2"},
    # Better zero-shot than the paper's: all terms, labels as profiles of similarities, every false label counted.
    "profiles": {"devise_loss": "softmax", "label_terms": "heads", "label_profiles": True},
}
