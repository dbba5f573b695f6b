import json
import re
from importlib import resources

import pytest

from fedpsma.domain.region import Region
from reporting.data_files import read_data
from reporting.plan.case import code_value
from reporting.verifier.lexicon import lexicon

PLACEHOLDER = re.compile(r"\{\w+\}")


def _flat(words, path=""):
    for key, value in words.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        elif isinstance(value, str) and key not in ("about", "source"):
            yield f"{path}{key}", value


@pytest.fixture(scope="module")
def languages():
    folder = resources.files("reporting.phrases")
    return [dict(_flat(json.loads(folder.joinpath(f"{name}.json").read_text("utf-8")))) for name in ("en", "de")]


def test_both_languages_have_the_same_phrases_with_the_same_placeholders(languages):
    english, german = languages
    assert english.keys() == german.keys()
    for key, text in english.items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(german[key])), key


def test_findings_hold_no_number_of_their_own(languages):
    for words in languages:
        for key, text in words.items():
            if key.startswith(("finding.", "uptake.", "ct.", "change.", "class")):
                assert not re.search(r"\d", text), key


def test_every_region_can_be_named_and_is_read_back_as_itself(languages):
    for language, words in zip(("en", "de"), languages, strict=True):
        for region in Region:
            for table in ("site_one", "site_many"):
                name = words[f"{table}.{region}"]
                found = next(word for word in lexicon(language).regions if word.pattern.search(name))
                assert region in found.regions, (language, name)


def test_codes_cover_every_value_of_the_contract():
    for region in Region:
        assert code_value("kind", region.value)
    for category in ("1", "2", "3A", "3B", "3C", "3D", "4", "5", "5T", None):
        assert code_value("class", category)
    with pytest.raises(KeyError):
        code_value("class", "6")


def test_every_data_file_names_its_source():
    for name in ("codes.json", "ct_terms.json", "levels.json", "indications.json"):
        assert read_data(name)["source"]
