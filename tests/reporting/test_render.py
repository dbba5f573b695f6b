import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting.render import RenderError, measured, number, render


def test_values_stand_where_their_placeholders_stood():
    assert (
        render("{site} with {suvmax}.", {"site": "left rib", "suvmax": "SUVmax 5.2"}, "en")
        == "Left rib with SUVmax 5.2."
    )


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("{site} with {suvmax}.", {"site": "rib"}),
        ("{site}.", {"site": "rib", "suvmax": "5.2"}),
        ("{site}, {site}.", {"site": "rib"}),
        ("{site} {Size}.", {"site": "rib"}),
        ("{site} }.", {"site": "rib"}),
    ],
)
def test_a_template_must_hold_each_placeholder_exactly_once(template, values):
    with pytest.raises(RenderError):
        render(template, values, "en")


def test_an_unknown_value_is_a_visible_gap_in_each_language():
    assert render("activity {activity}.", {"activity": None}, "en") == "Activity [not provided: activity]."
    assert render("Aktivität {activity}.", {"activity": None}, "de") == "Aktivität [nicht angegeben: Aktivität]."


def test_a_value_is_never_read_as_a_template():
    assert render("{site}.", {"site": "{suvmax}"}, "en") == "{suvmax}."


@given(st.floats(min_value=0, max_value=10_000, allow_nan=False).map(lambda value: round(value, 3)))
def test_numbers_are_never_rounded_and_the_decimal_sign_is_the_only_difference(value):
    english, german = number(value, "en", decimals=1), number(value, "de", decimals=1)
    assert float(english) == value
    assert english == german.replace(",", ".")
    assert len(english.partition(".")[2]) >= 1


def test_known_forms_of_numbers():
    assert number(124.6, "en", decimals=1) == "124.6"
    assert measured(16.0, "mm", "de", decimals=0) == "16 mm"
    assert measured(None, "mm", "en", decimals=0) is None
