from devise_tf.evaluation.report.models import in_order


def test_order():
    models = ["chance", "zebra", "l2", "conse", "alpha", "random", "profiles", "devise", "softmax"]
    expected = ["softmax", "devise", "profiles", "random", "conse", "l2", "alpha", "zebra", "chance"]
    assert in_order(models) == in_order(iter(expected[::-1])) == expected
    assert in_order({}) == []
