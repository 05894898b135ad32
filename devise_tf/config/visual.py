"""Settings of phase 2: the visual model and its softmax."""

import dataclasses

from devise_tf.choices import DTYPES
from devise_tf.config.setting import SettingsGroup, setting
from devise_tf.packaged import packaged_architectures


@dataclasses.dataclass(frozen=True)
class VisualSettings(SettingsGroup):
    """The visual model and its softmax. Each field's meaning is its help text."""

    visual_model: str = setting(
        "resnet_small",
        f"Visual model of phase 2: {', '.join(sorted(packaged_architectures()))}.",
    )
    visual_weights: str = setting(
        "",
        "Weights that phase 2 starts with. imagenet: the visual model's pretrained ones, which come with the package "
        "for efficientnet_lite0 and efficientnet_lite2 and are downloaded for models of Keras; or a file: .keras, "
        ".npz, .weights.h5. If the number of labels differs, the softmax layer is reinitialized. Empty: random "
        "weights.",
        later=True,
    )
    frozen_layers: str = setting(
        "",
        "How deep the visual model is frozen in phases 2 and 3: the name of the last frozen layer, all for everything "
        "below the softmax, or nothing.",
        later=True,
    )
    dtype: str = setting(
        "float32",
        "Keras dtype policy of the visual model; softmax, projection and losses are float32 under each. float16 cannot "
        "be trained; freeze it with --frozen_layers=all.",
        DTYPES,
        later=True,
    )
    cnn_epochs: float = setting(
        20.0,
        "Passes over the images in phase 2; 0 with --visual_weights of a softmax over the run's seen labels, in their "
        "order, which is then used as it is.",
    )
    cnn_batch_size: int = setting(64, "Images a step in phase 2, over all devices.", positive=True)
    cnn_learning_rate: float = setting(0.05, "Peak learning rate of phase 2: a warm-up, then a cosine.")
    weight_decay: float = setting(5e-4, "Weight decay of phase 2.")

    def check(self) -> None:
        super().check()
        if not self.cnn_epochs and not self.visual_weights:
            raise ValueError(
                "`cnn_epochs` must be positive, or `visual_weights` name weights to use as they are. "
                f"Received: cnn_epochs={self.cnn_epochs}"
            )
