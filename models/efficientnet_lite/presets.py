"""Ready-made settings of `efficientnet_lite`, as published; the comments give the published image size."""

PRESETS = {
    "efficientnet_lite0": {"builder": "efficientnet_lite", "width": 1.0, "depth": 1.0, "dropout": 0.2},  # 224
    "efficientnet_lite1": {"builder": "efficientnet_lite", "width": 1.0, "depth": 1.1, "dropout": 0.2},  # 240
    "efficientnet_lite2": {"builder": "efficientnet_lite", "width": 1.1, "depth": 1.2, "dropout": 0.3},  # 260
    "efficientnet_lite3": {"builder": "efficientnet_lite", "width": 1.2, "depth": 1.4, "dropout": 0.3},  # 280
    "efficientnet_lite4": {"builder": "efficientnet_lite", "width": 1.4, "depth": 1.8, "dropout": 0.3},  # 300
}
