"""The connection to an archive: one door for all requests, so that none goes elsewhere, hangs, or quotes a patient."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from dicomweb_client.web import DICOMwebClient

from fedpsma.errors import InputError
from fedpsma.io.dicomweb.settings import PacsSettings

# Both write addresses into the log, and a query holds the number of a patient.
for _talker in ("dicomweb_client", "urllib3"):
    logging.getLogger(_talker).setLevel(logging.CRITICAL)

_REFUSED = {
    401: ("asks for a login", "set FEDPSMA_PACS_USER and FEDPSMA_PACS_PASSWORD, or name a file of credentials"),
    403: ("does not allow this with the login given", "ask its administrator"),
    404: ("does not have this, or its DICOMweb services lie elsewhere", "check the address and the study"),
}


@dataclass(frozen=True)
class Pacs:
    """An archive that can be asked; ``url`` is how messages call it."""

    url: str
    web: DICOMwebClient


def connect(settings: PacsSettings) -> Pacs:
    """Prepare the connection; nothing is sent yet.

    Certificates are verified, redirections are refused, and neither proxies nor logins of the environment are used.
    """
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    session.verify = True if settings.ca_file is None else str(settings.ca_file)
    login = settings.login
    if login.token:
        session.headers["Authorization"] = f"Bearer {login.token}"
    elif login.user and login.password:
        session.auth = (login.user, login.password)
    web = DICOMwebClient(settings.url, session=session, timeout=settings.timeout_s)
    web.set_http_retry_params(retry=False)
    return Pacs(settings.url, web)


@contextmanager
def asking(pacs: Pacs) -> Iterator[None]:
    """Turn whatever goes wrong with a request into one line that names the archive and no patient."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        what, remedy = _reason(error)
        # The cause is left out, since its text quotes the query.
        raise InputError(what, where=pacs.url, remedy=remedy) from None


def _reason(error: Exception) -> tuple[str, str]:
    if isinstance(error, requests.exceptions.SSLError):
        return "shows a certificate that is not trusted", "name its authority as ca_file in pacs.toml"
    if isinstance(error, requests.exceptions.Timeout):
        return "does not answer in time", "try again, or raise timeout_s in pacs.toml"
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return "sends the request elsewhere", "give the address that it redirects to, if you trust it"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "cannot be reached", "check the address and that the archive runs"
    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
        status = error.response.status_code
        return _REFUSED.get(status, (f"answers with an error (HTTP status {status})", "ask its administrator"))
    return f"gives an answer that is no DICOMweb ({type(error).__name__})", "check the address"
