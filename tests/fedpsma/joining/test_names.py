"""Names and addresses: what is taken, and what is said of the others."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from fedpsma.errors import first_problem
from fedpsma.joining.names import Address, Name


@pytest.mark.parametrize("name", ["north", "St. Anna 2", "a", "x" * 64, "a_b-c.d"])
def test_plain_names_are_taken(name: str) -> None:
    assert TypeAdapter(Name).validate_python(name) == name


@pytest.mark.parametrize("name", ["", " north", "Klinik Süd", "../up", "x" * 65, "a/b", "-a", "a\n", "a\x1b[2K"])
def test_others_are_refused_in_words(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Name).validate_python(name)
    _, what = first_problem(caught.value)
    assert "is no name: it has up to 64 letters" in what
    assert "pattern" not in what
    assert "\x1b" not in what
    assert "\n" not in what


@pytest.mark.parametrize("address", ["federation.example.org:9443", "127.0.0.1:1", "[::1]:65535"])
def test_addresses_are_host_and_port(address: str) -> None:
    assert TypeAdapter(Address).validate_python(address) == address


@pytest.mark.parametrize("address", ["host", "host:", "host:0", "host:65536", "https://host:9443", "::1:9443", "a b:1"])
def test_what_is_no_address_is_said(address: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Address).validate_python(address)
    assert "is written like federation.example.org:9443" in first_problem(caught.value)[1]
