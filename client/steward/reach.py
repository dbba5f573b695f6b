"""What a site sees at the coordinator's front door: why it is not connected, whether the clocks agree, what ends when.

Flower's process only says that it ended. The one question that is asked here says nothing of the site.
"""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from client.steward.joining import certificate_end
from fedpsma.joining.clocks import LARGEST_SKEW
from fedpsma.joining.records import JoinBundle

Unreached = Literal[
    "address_unreachable",
    "certificate_not_trusted",
    "certificate_ended",
    "clock_differs",
    "coordinator_down",
    "not_let_in",
]
WORDS: dict[Unreached, str] = {
    "address_unreachable": "the coordinator's address cannot be reached from here; ask your network people, or there",
    "certificate_not_trusted": "its certificate is not the one you joined with; telephone the coordinator",
    "certificate_ended": "its certificate, or the one you joined with, has ended; let the coordinator renew it",
    "clock_differs": "the clock here and there differ by minutes; set it",
    "coordinator_down": "the front door answers, but what is behind it does not run; telephone the coordinator",
    "not_let_in": "the coordinator has not admitted this site yet, has revoked it, or knows a node with its key",
}
TIMEOUT_S = 10.0
# What a question takes, and the second to which a server tells the time.
_MARGIN = timedelta(seconds=10)
# Of OpenSSL: the dates are read here, because a clock that is wrong is not a certificate that has ended.
_NO_CHECK_TIME = 0x200000


@dataclass(frozen=True)
class View:
    """What one look at the front door told.

    Args:
        why: What stands between this site and the federation; ``not_let_in`` where nothing else is found.
        ahead_s: Seconds that the clock here is ahead of the coordinator's, where it told the time.
        certificate_ends: When it is trusted no more: the end of the certificate that it showed, or of its authority's.
    """

    why: Unreached
    ahead_s: float | None = None
    certificate_ends: datetime | None = None


def look_at_door(bundle: JoinBundle) -> View:
    """Ask the front door whether it is well."""
    host, _, port = bundle.address.rpartition(":")
    context = ssl.create_default_context(cadata=bundle.ca_certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    connection = http.client.HTTPSConnection(host.strip("[]"), int(port), timeout=TIMEOUT_S, context=context)
    try:
        connection.connect()
        shown: dict[str, Any] = connection.sock.getpeercert()  # type: ignore[assignment]
        connection.request("GET", "/health")
        answer = connection.getresponse()
    except ssl.SSLCertVerificationError:
        return View("certificate_not_trusted")
    except (OSError, http.client.HTTPException):
        return View("address_unreachable")
    finally:
        connection.close()
    told = answer.getheader("Date")
    ahead = None if told is None else datetime.now(UTC) - parsedate_to_datetime(told)
    begins, ends = (_time(shown[name]) for name in ("notBefore", "notAfter"))
    ends = min(ends, certificate_end(bundle))
    why = _in_the_way(ahead, begins, ends) or ("not_let_in" if answer.status == http.client.OK else "coordinator_down")
    return View(why, None if ahead is None else ahead.total_seconds(), ends)


def _in_the_way(ahead: timedelta | None, begins: datetime, ends: datetime) -> Unreached | None:
    """Return what the times of clocks and certificates are against."""
    now = datetime.now(UTC)
    if now < begins or (ahead is not None and abs(ahead) > LARGEST_SKEW - _MARGIN):
        return "clock_differs"
    return "certificate_ended" if now > ends else None


def _time(told: object) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(told)), UTC)


def is_reachable(bundle: JoinBundle) -> bool:
    """Return whether nothing stands between this site and the federation but, perhaps, that it is not admitted."""
    return look_at_door(bundle).why == "not_let_in"
