"""The colors of pages and pictures; those of the models are in `models.py`. Pairs are for light and dark pages."""

PAGE = {
    "back": ("#fff", "#16181d"),
    "text": ("#1a1d23", "#e8eaee"),
    "soft": ("#586070", "#a3abb9"),
    "line": ("#c6ccd6", "#464d5a"),
    "faint": ("#e6e9ef", "#2b303a"),
    "panel": ("#f6f7f9", "#1e2128"),
    "link": ("#1f5fbf", "#8ab4f8"),
    "good": ("#0b6b45", "#7fe0b0"),
    "good-back": ("#dcf3e7", "#12382a"),
    "near": ("#7a5200", "#f0cf7a"),
    "near-back": ("#fdf0cf", "#3a3013"),
    "bad": ("#a3201a", "#f2b8b5"),
    "bad-back": ("#fbe4e2", "#43211f"),
}
# Of groups of labels on the page's map, and last the gray of those without a color.
GROUPS = (
    ("#332288", "#8d7ff0"), ("#e0851f", "#f5a04a"), ("#117733", "#3fb567"), ("#cc3d55", "#ff7a8e"),
    ("#2b8cc4", "#7cc8f2"), ("#8a7a12", "#c8b53c"), ("#aa4499", "#e083d0"), ("#44aa99", "#5fd6c2"),
    ("#7a3b12", "#c98a5a"), ("#b58f00", "#ffe066"), ("#5577aa", "#b4c4e8"), ("#7fb032", "#b7e36b"),
    ("#9a9aa2", "#74747e"),
)  # fmt: skip
# Of groups in printed pictures: ten colors that are told apart easily and two more; gray is for what has no group.
PRINTED = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#bcbd22", "#17becf", "#0b3d91"),
    *("#7fc97f", "#f2b701"),
)
PRINTED_GRAY = "#a0a0a0"


def page_styles() -> list[str]:
    """CSS of the page's own colors."""
    light, dark = (" ".join(f"--{name}: {pair[i]};" for name, pair in PAGE.items()) for i in (0, 1))
    return [f":root {{ {light} }}", f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"]
