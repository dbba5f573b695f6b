"""A site says what trains there: it opens the data, stands in the policy, and is part of what the ledger names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from adapter_sites import TRAINER, make_site
from tiny_trainer import make_sites

from client.fingerprint import code_hash
from client.policy import read_policy
from client.steward.home import SiteHome
from client.steward.joining import make_site as make_member
from fedpsma.errors import InputError
from fedpsma.training.trainer import DEFAULT_TRAINER, load_trainer


def test_a_site_of_adapters_is_made_of_its_corpus(tmp_path: Path) -> None:
    corpus = make_site(tmp_path / "corpus", "north", {"p1": 2, "p2": 1, "p3": 1})
    request = make_member(SiteHome(tmp_path / "site"), corpus, trainer=TRAINER)
    assert (request.site, request.patients, request.synthetic) == ("north", 3, True)
    policy = read_policy(tmp_path / "site")
    assert (policy.trainer, policy.dataset) == (TRAINER, corpus.resolve())


def test_a_site_of_lesions_is_made_of_its_data_set(tmp_path: Path) -> None:
    (dataset,) = make_sites(tmp_path, ["south"])
    assert make_member(SiteHome(tmp_path / "site"), dataset).patients == 12
    assert read_policy(tmp_path / "site").trainer == DEFAULT_TRAINER


@pytest.mark.parametrize("trainer", ["no.such.module", "json", "not a name"])
def test_what_is_no_trainer_makes_no_site(tmp_path: Path, trainer: str) -> None:
    (dataset,) = make_sites(tmp_path, ["south"])
    with pytest.raises(InputError, match="is no trainer"):
        make_member(SiteHome(tmp_path / "site"), dataset, trainer=trainer)
    assert not (tmp_path / "site").exists()


def test_data_of_another_kind_makes_no_site(tmp_path: Path) -> None:
    (dataset,) = make_sites(tmp_path, ["south"])
    with pytest.raises(InputError, match=r"card\.json: does not exist"):
        make_member(SiteHome(tmp_path / "site"), dataset, trainer=TRAINER)


def test_the_digest_of_the_code_takes_in_the_package_of_the_trainer(tmp_path: Path) -> None:
    assert code_hash() == code_hash(DEFAULT_TRAINER)
    assert len({code_hash(), code_hash(TRAINER), code_hash("tiny_trainer:scaled")}) == 3
    assert load_trainer("tiny_trainer:scaled").accountant() == "tiny"


@pytest.mark.parametrize("trainer", [DEFAULT_TRAINER, TRAINER])
def test_who_only_opens_data_does_not_load_what_trains(trainer: str) -> None:
    code = f"import sys, {trainer} as one; one.subject(); print({{'torch', 'opacus', 'monai'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
