from __future__ import annotations

from fedpsma.pages.parts import escaped, number, page, table


def test_a_page_is_whole_needs_no_network_and_escapes_its_title() -> None:
    shown = page("<script>", "<p>body</p>", ".own { color: red; }")
    assert shown.startswith("<!doctype html>")
    assert "<title>&lt;script&gt;</title>" in shown
    assert shown.index(":root {") < shown.index(".own {") < shown.index("<p>body</p>")
    assert "http" not in shown


def test_text_of_the_data_is_escaped_and_numbers_stand_to_the_right() -> None:
    shown = table(["name", "n<1"], escaped([["<b>", "3"]]), numeric=[1], kind="wide")
    assert '<table class="wide">' in shown
    assert "<td>&lt;b&gt;</td>" in shown
    assert '<th class="number">n&lt;1</th>' in shown
    assert '<td class="number">3</td>' in shown


def test_an_unknown_number_is_a_dash() -> None:
    assert (number(None), number(0.12345)) == ("–", "0.123")
