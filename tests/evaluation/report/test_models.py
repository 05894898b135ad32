from devise_tf.evaluation.report.html.looks import Looks
from devise_tf.evaluation.report.models import MODELS, ModelRow, in_order, models_of_samples


def test_models_stand_in_the_order_of_the_table():
    models = ["chance", "zebra", "l2", "conse", "alpha", "random", "profiles", "paper", "devise", "softmax"]
    models.append("conse_profiles")
    expected = ["softmax", "devise", "paper", "profiles", "random", "conse", "conse_profiles", "l2", "alpha", "zebra"]
    expected.append("chance")
    assert in_order(models) == in_order(iter(expected[::-1])) == expected
    assert in_order({}) == []


def test_models_of_samples_are_those_of_the_table_or_the_first_three():
    assert models_of_samples(["softmax", "devise", "random", "random", "profiles"]) == ["softmax", "devise", "profiles"]
    assert models_of_samples(["a", "b", "a", "c", "d"]) == ["a", "b", "c"]


def test_a_new_model_is_one_entry(monkeypatch):
    monkeypatch.setitem(MODELS, "new", ModelRow("new", "New model", ("#000001", "#fffffe"), "9 9", in_samples=True))
    assert in_order(["new", "l2", "other"]) == ["l2", "other", "new"]
    looks = Looks()
    assert looks.title("new") == "New model"
    assert f".{looks.style('new')}{{--c:#000001;--dash:9 9}}" in looks.styles()[0]
    assert models_of_samples(["l2", "new"]) == ["new"]
