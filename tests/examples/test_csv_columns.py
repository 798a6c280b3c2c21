"""The second pass: cells, columns and the sketches under them."""

import json
import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from statistics import fmean, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.csv_profile.cells import Kind, is_missing, iso_date, iso_datetime, read_cell
from examples.csv_profile.columns import MAX_TEXT, Column, ColumnProfile, Sizes
from examples.csv_profile.findings import findings
from examples.csv_profile.layout import survey
from examples.csv_profile.rows import Row
from examples.csv_profile.scale import BINS, Scale
from examples.csv_profile.sketches import Distinct, Frequent, Sample
from examples.csv_profile.table import profile_rows

SIZES = Sizes.shared_by(10)


def profile_of(*blocks: list[str]) -> ColumnProfile:
    column = Column("x", SIZES)
    for block in blocks:
        column.add(block)
    return column.profile()


@pytest.mark.parametrize(
    ("text", "kind", "place"),
    [
        ("0", "integer", 0),
        ("-12", "integer", -12),
        ("+7", "integer", 7),
        ("999999999999999999", "integer", 999_999_999_999_999_999),
        ("9223372036854775808", "integer", 2**63),
        ("-9223372036854775809", "integer", -(2**63) - 1),
        ("1" + "0" * 100, "integer", 10**100),
        ("9" * 300, "integer", 10**300 - 1),
        ("-" + "9" * 301, "integer", None),
        ("9" * 100_000, "integer", None),
        ("\u221212", "integer", -12),
        ("-0", "integer", 0),
        ("007", "text", None),
        ("-007", "text", None),
        ("00", "text", None),
        ("00.5", "text", None),
        ("--1", "text", None),
        ("- 1", "text", None),
        ("1-", "text", None),
        ("(1)", "text", None),
        ("1,000", "text", None),
        ("1'000", "text", None),
        ("1.000.000", "text", None),
        ("1_000", "text", None),
        ("1,5", "text", None),
        ("٣", "text", None),
        ("1.50", "number", 1.5),
        (".5", "number", 0.5),
        ("-1.", "number", -1.0),
        ("1e3", "number", 1000.0),
        ("2.5E-300", "number", 2.5e-300),
        ("1e005", "number", 100_000.0),
        ("1e100", "number", 1e100),
        ("9.99e299", "number", 9.99e299),
        ("1e300", "text", None),
        ("1e400", "text", None),
        ("-1e400", "text", None),
        ("1e9999", "text", None),
        ("1e-400", "number", 0.0),
        ("\u22121.5e\u22123", "number", -0.0015),
        ("18446744073709551616.5", "number", 18446744073709551616.0),
        ("1e", "text", None),
        ("0x10", "text", None),
        ("inf", "text", None),
        ("-Infinity", "text", None),
        ("-nan", "text", None),
        (".", "text", None),
        ("true", "boolean", None),
        ("No", "boolean", None),
        ("1970-01-02", "date", 86_400),
        ("2023-02-30", "text", None),
        ("03/04/2024", "text", None),
        ("1970-01-01T01:00", "datetime", 3_600),
        ("1970-01-01 00:00:01.5", "datetime", 1.5),
        ("1970-01-01T01:00:00+01:00", "datetime", 0),
        ("1970-01-01T00:00:00Z", "datetime", 0),
        ("9999-12-31T23:00:00-02:00", "text", None),
        ("0001-01-01T00:00:00+02:00", "text", None),
        ("1 2", "text", None),
        ("12\n", "text", None),
    ],
)
def test_a_cell_has_the_narrowest_kind_that_is_certain(
    text: str, kind: Kind, place: float | None
) -> None:
    assert read_cell(text) == (kind, place)


@pytest.mark.parametrize("text", ["-0", "-0.0", "\u22120", "-0e5"])
def test_there_is_no_negative_zero(text: str) -> None:
    _, place = read_cell(text)
    assert place is not None
    assert math.copysign(1, place) == 1


@pytest.mark.parametrize("text", ["", "n/a", "#N/A", "NaN", "null", "None"])
def test_some_texts_mean_a_missing_value(text: str) -> None:
    assert is_missing(text)


def test_the_text_na_is_not_a_missing_value() -> None:
    assert not is_missing("NA")


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "1970-01-01", "9999-12-31"])
def test_a_date_is_written_in_its_original_form(day: str) -> None:
    _, place = read_cell(day)
    assert place is not None
    assert iso_date(place) == day
    assert iso_datetime(place + 1) == f"{day}T00:00:01"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2"], "integer"),
        (["1", "2.5"], "number"),
        (["yes", "no", ""], "boolean"),
        (["2024-01-01", "2024-01-02"], "date"),
        (["2024-01-01", "2024-01-02T10:00"], "datetime"),
        (["1", "2024-01-01"], "text"),
        (["1", "yes"], "text"),
        (["1", "x"], "text"),
        (["", "n/a"], "empty"),
        ([], "empty"),
    ],
)
def test_a_column_has_the_narrowest_type_that_all_values_fit_in(
    values: list[str], expected: str
) -> None:
    assert profile_of(values)["type"] == expected
    assert profile_of(*([value] for value in values))["type"] == expected


numbers = st.lists(
    st.floats(-1e9, 1e9, allow_subnormal=False).map(lambda x: round(x, 3)), min_size=1
)


@given(numbers, st.integers(1, 10))
def test_the_figures_of_a_small_column_are_those_of_plain_statistics(
    values: list[float], size: int
) -> None:
    blocks = [values[i : i + size] for i in range(0, len(values), size)]
    found = profile_of(*([f"{value:.3f}" for value in block] for block in blocks))
    expected = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    assert (found["min"], found["max"]) == (min(values), max(values))
    assert found["mean"] == pytest.approx(fmean(values), rel=1e-9, abs=1e-6)
    assert found["quartiles"] == pytest.approx(expected)
    assert found["histogram"] is not None
    assert sum(b["count"] for b in found["histogram"]) == len(values)
    assert (found["distinct_exact"], found["sampled"], found["top_error"]) == (True, False, 0)


@given(st.lists(st.text(alphabet=st.sampled_from("ab1 "), max_size=3)))
def test_counts_are_those_of_a_counter(cells: list[str]) -> None:
    found = profile_of(cells[::2], cells[1::2])
    expected = Counter(cell.strip() for cell in cells if cell.strip())
    assert found["present"] == expected.total() == sum(found["kinds"].values())
    assert found["missing"] == len(cells) - expected.total()
    assert found["distinct"] == len(expected)
    assert all(expected[top["value"]] == top["count"] for top in found["top"])


def test_large_integers_keep_all_their_digits() -> None:
    found = profile_of(["999999999999999999", "999999999999999998"])
    assert (found["min"], found["max"]) == (999_999_999_999_999_998, 999_999_999_999_999_999)


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        (["0.1", "0.2", "0.3"], 0.2),
        (["0.1"] * 10, 0.1),
        (["1.1", "2.2", "3.3"], 2.2),
        (["0.1", "0.7"], 0.4),
        (["1e100", "1", "-1e100"], 1 / 3),
        (["1e16", "1", "1"], (10**16 + 2) / 3),
        (["0.10000000000000000001", "0.2", "0.29999999999999999999"], 0.2),
        (["1", "2.5"], 1.75),
        ([str(2**63), str(2**63 + 2)], float(2**63 + 1)),
        ([str(10**200), "-1" + "0" * 200, "3"], 1.0),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 100], ids=["by one", "by two", "at once"])
def test_the_mean_is_the_float_nearest_to_that_of_the_values_as_written(
    values: list[str], mean: float, size: int
) -> None:
    assert profile_of(*(values[i : i + size] for i in range(0, len(values), size)))["mean"] == mean


@given(st.lists(st.decimals(-1000, 1000, places=2), min_size=1, max_size=40))
def test_the_mean_of_prices_is_exact(prices: list[Decimal]) -> None:
    exact = sum(map(Fraction, prices), Fraction(0)) / len(prices)
    assert profile_of([f"{price:f}" for price in prices])["mean"] == float(exact)


def test_quartiles_and_bins_are_decimals_as_people_write_them() -> None:
    found = profile_of(["0.1", "0.2", "0.3"])
    assert found["quartiles"] == [0.15, 0.2, 0.25]
    found = profile_of(["0", "1.2"])
    assert found["histogram"] is not None
    assert [b["from"] for b in found["histogram"]] == [i / 10 for i in range(12)]


@pytest.mark.parametrize("large", [2**63, -(2**63) - 1, 2**64, 10**30, 10**299])
def test_one_large_integer_leaves_a_column_of_integers_what_it_is(large: int) -> None:
    found = profile_of(["1", "2", "3"], [str(large)], ["4"])
    assert (found["type"], found["kinds"]) == ("integer", {"integer": 5})
    assert (found["min"], found["max"]) == (min(1, large), max(4, large))
    assert found["mean"] == (large + 10) / 5
    assert found["quartiles"] == ([2, 3, 4] if large > 0 else [1, 2, 3])
    assert found["histogram"] is not None
    assert sum(b["count"] for b in found["histogram"]) == 5
    assert json.loads(json.dumps(found)) == found


def test_neighbours_among_large_integers_are_told_apart() -> None:
    found = profile_of([str(2**63 + i) for i in range(12)])
    assert found["histogram"] is not None
    assert [b["count"] for b in found["histogram"]] == [1] * 12


def test_an_integer_of_very_many_digits_is_one_without_a_range() -> None:
    found = profile_of(["1", "9" * 100_000])
    assert (found["type"], found["present"]) == ("integer", 2)
    assert (found["min"], found["mean"], found["quartiles"]) == (None, None, None)
    layout = survey([Row(1, ["x"]), Row(2, ["1"])])
    assert findings(layout, [found]) == [
        "“x” has an integer of more than 300 digits, and so no range and no mean."
    ]


def test_dates_have_a_range_a_mean_and_a_histogram() -> None:
    found = profile_of(["2024-01-01", "2024-01-03", ""])
    assert (found["min"], found["mean"], found["max"]) == ("2024-01-01", "2024-01-02", "2024-01-03")
    assert found["histogram"] == [
        {"from": "2024-01-01", "to": "2024-01-02", "count": 1},
        {"from": "2024-01-02", "to": "2024-01-03", "count": 0},
        {"from": "2024-01-03", "to": "2024-01-03", "count": 1},
    ]


def test_a_text_column_has_a_first_and_a_last_value_and_no_mean() -> None:
    found = profile_of(["1", "2"], ["pear", "apple"])
    assert (found["min"], found["max"], found["mean"]) == ("1", "pear", None)


def test_long_texts_are_cut() -> None:
    found = profile_of(["x" * 100_000])
    assert found["top"] == [{"value": "x" * (MAX_TEXT - 1) + "…", "count": 1}]
    assert len(json.dumps(found)) < 1_000


@pytest.mark.parametrize("values", [range(50), range(-7, 1_000), [3], [0, 10**18 - 1]])
def test_every_bin_spans_as_many_integers_as_the_next(values: list[int]) -> None:
    scale = Scale(2_000)
    scale.add(values, [1] * len(values))
    bins = scale.histogram(unit=1)
    assert 1 <= len(bins) <= BINS
    assert (bins[0].low, bins[-1].high) == (min(values), max(values))
    assert len({b.high - b.low for b in bins[:-1]}) <= 1
    assert sum(b.count for b in bins) == len(values)


def test_a_sample_keeps_everything_while_it_fits() -> None:
    sample = Sample(10)
    sample.add([1.0] * 4)
    sample.add([2.0] * 6)
    assert sample.exact
    assert list(sample.values) == [1.0] * 4 + [2.0] * 6


def test_a_sample_of_a_long_stream_is_drawn_evenly() -> None:
    sample = Sample(4_000)
    for start in range(0, 200_000, 1_000):
        sample.add(range(start, start + 1_000))
    assert not sample.exact
    assert len(set(sample.values)) == 4_000
    tenths = Counter(int(value // 20_000) for value in sample.values)
    # 400 in each tenth, give or take five times the standard deviation of 19
    assert all(abs(tenths[i] - 400) < 95 for i in range(10))


@pytest.mark.parametrize("actual", [0, 1, 1_000, 2_000, 5_000, 200_000])
def test_distinct_is_exact_at_first_and_then_within_its_error(actual: int) -> None:
    distinct = Distinct(1_000)
    for start in range(0, actual, 500):
        distinct.add(str(i) for i in range(start, min(actual, start + 500)))
        distinct.add(["0"])  # a value seen before changes nothing
    assert distinct.exact == (actual <= 2_000)
    # Four standard errors of 1/sqrt(1000).
    assert abs(distinct.count - actual) <= (0 if distinct.exact else 0.13 * actual)


@pytest.mark.parametrize("actual", range(50, 100))
def test_there_are_never_more_distinct_values_than_values(actual: int) -> None:
    column = Column("x", Sizes(sample=10, distinct=10, frequent=10))
    column.add(map(str, range(actual)))
    found = column.profile()
    assert not found["distinct_exact"]
    assert found["distinct"] <= found["present"] == actual


def test_frequent_values_are_found_among_very_many_rare_ones() -> None:
    frequent = Frequent(100)
    for block in range(201):
        rare = {f"rare {block} {i}": 1 for i in range(100)}
        frequent.add({**rare, "often": 30, "sometimes": 10})
    assert [value for value, _ in frequent.top(5)] == ["often", "sometimes"]
    for (_, count), actual in zip(frequent.top(5), (6_030, 2_010), strict=True):
        assert count <= actual <= count + frequent.error
    assert frequent.error <= 28_140 / 100


@given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 9))))
def test_a_frequent_values_true_count_lies_within_the_error(blocks: list[dict[str, int]]) -> None:
    frequent = Frequent(2)
    actual: Counter[str] = Counter()
    for block in blocks:
        frequent.add(block)
        actual.update(block)
    for value, count in frequent.top(8):
        assert count <= actual[value] <= count + frequent.error


def test_short_rows_end_with_missing_values_and_long_ones_are_cut() -> None:
    rows = [Row(1, []), Row(2, ["a", "b"]), Row(3, ["1"]), Row(4, []), Row(5, ["2", "3", "4"])]
    a, b = profile_rows(rows, ["a", "b"])
    assert (a["present"], a["missing"], b["present"], b["missing"]) == (2, 0, 1, 1)


def test_the_block_size_does_not_change_the_profile() -> None:
    table = [Row(i, [str(i % 7), "x" * 300, str(i / 4)]) for i in range(4_000)]
    (seventh, text, quarter) = profile_rows(table, ["a", "b", "c"])  # some 1.2 MB, so five blocks
    assert (seventh["distinct"], text["top"][0]["count"]) == (7, 3_999)
    assert quarter["mean"] == pytest.approx(fmean(i / 4 for i in range(1, 4_000)))


def test_sizes_shrink_with_the_number_of_columns() -> None:
    assert Sizes.shared_by(1) == Sizes(sample=20_000, distinct=8_192, frequent=10_000)
    assert Sizes.shared_by(1_000) == Sizes(sample=1_000, distinct=256, frequent=100)


def test_no_sum_of_numbers_overflows() -> None:
    found = profile_of(["9e299"] * 1_000 + ["-9e299"] * 1_000)
    assert (found["type"], found["mean"]) == ("number", 0)
    assert found["histogram"] is not None
    assert all(math.isfinite(float(b["to"])) for b in found["histogram"])
    assert profile_of(["9e299"] * 1_000)["mean"] == 9e299
