"""Becoming a site, joining a federation, leaving it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

from cryptography import x509

from client.policy import POLICY_FILE
from client.steward.code import CodeBook
from client.steward.events import SiteLog
from client.steward.home import SiteHome
from client.steward.kept import KeptReport
from fedpsma.errors import InputError
from fedpsma.io.files import write_text
from fedpsma.joining.keys import make_node_key
from fedpsma.joining.names import require_site_name
from fedpsma.joining.records import JoinBundle, SiteRequest
from fedpsma.secure_aggregation.identity import identity_of
from fedpsma.training.subject import PatientData
from fedpsma.training.trainer import DEFAULT_TRAINER, load_trainer

TEMPLATE = "site.toml"
WARN_BEFORE = timedelta(days=14)


def make_site(
    home: SiteHome,
    dataset: Path,
    name: str | None = None,
    *,
    tell_patients: bool = True,
    trainer: str = DEFAULT_TRAINER,
) -> SiteRequest:
    """Make keys, a policy to be read and changed, and the request for the coordinator.

    Args:
        home: The folder to make.
        dataset: The patients.
        name: Of the site; the data set's own if left out.
        tell_patients: Whether the request says how many patients there are, so that the site can count by them.
        trainer: What trains here, by its dotted name; it opens the data set.

    Raises:
        InputError: There is a site already, or the data set cannot be read.
    """
    if home.request_path.exists():
        raise InputError("is a site already", where=str(home.folder), remedy="choose another folder, or join with it")
    data = _opened(dataset, trainer)
    called = require_site_name(name or data.site, remedy="give one with --name")
    home.make()
    request = SiteRequest(
        site=called,
        node_key=make_node_key(home.node_key_path),
        signing_key=identity_of(home.folder).public_key().public_bytes_raw().hex(),
        patients=len(data.patients) if tell_patients else None,
        synthetic=data.synthetic,
    )
    write_text(home.folder / POLICY_FILE, _policy(dataset, trainer))
    # Last, because it makes the folder a site.
    request.write(home.request_path)
    return request


def join(home: SiteHome, bundle: JoinBundle) -> None:
    """Join a federation whose fingerprint a person has compared.

    Raises:
        InputError: This is no site, it has joined another federation, or the bundle's certificate cannot be used.
    """
    home.request()
    if home.joined and home.bundle().federation != bundle.federation:
        raise InputError(
            f"has joined {home.bundle().federation}",
            where=str(home.folder),
            remedy="leave it first, or make a folder of its own for each federation",
        )
    require_current(bundle)
    # What left for one coordinator is no answer to another.
    KeptReport(home.kept_path).forget()
    bundle.write(home.bundle_path)
    SiteLog(home.events_path).append("joined", federation=bundle.federation)


def leave(home: SiteHome) -> None:
    """Leave the federation: no order of it is taken up any more, and none of its code. Keys and ledger stay.

    Raises:
        InputError: It has joined nothing.
    """
    federation = home.bundle().federation
    home.bundle_path.unlink()
    book = CodeBook(home.code_path)
    for sha256 in book.approved():
        book.reject(sha256)
    KeptReport(home.kept_path).forget()
    SiteLog(home.events_path).append("left", federation=federation)


def certificate_end(bundle: JoinBundle) -> datetime:
    """Return when the certificate authority of a federation ends.

    Raises:
        InputError: The bundle holds no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(bundle.ca_certificate.encode()).not_valid_after_utc
    except ValueError as error:
        raise InputError(
            "holds no certificate", where=bundle.federation, remedy="ask the coordinator for the bundle again"
        ) from error


def ends_soon(end: datetime) -> bool:
    """Return whether a certificate has fewer than fourteen days left."""
    return end - datetime.now(UTC) < WARN_BEFORE


def require_current(bundle: JoinBundle) -> datetime:
    """Return when the certificate authority of a federation ends.

    Raises:
        InputError: It has ended, or there is none.
    """
    end = certificate_end(bundle)
    if end <= datetime.now(UTC):
        raise InputError(
            f"its certificate ended on {end:%d %B %Y}",
            where=bundle.federation,
            remedy="ask the coordinator for a new bundle",
        )
    return end


def _opened(dataset: Path, trainer: str) -> PatientData:
    opened: PatientData = load_trainer(trainer).subject().open(dataset)
    return opened


def _policy(dataset: Path, trainer: str) -> str:
    text = resources.files("client").joinpath("data", TEMPLATE).read_text("utf-8")
    line = json.dumps(str(dataset.resolve()), ensure_ascii=False)
    if trainer != DEFAULT_TRAINER:
        line += f"\n\n# What trains here.\ntrainer = {json.dumps(trainer, ensure_ascii=False)}"
    return text.replace("@DATASET@", line)
