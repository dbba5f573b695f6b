"""Why a site is not connected, found out by asking the coordinator's front door whether it is well.

Flower's process only says that it ended. The one question that is asked here says nothing of the site.
"""

from __future__ import annotations

import http.client
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

from fedpsma.joining.records import JoinBundle

Unreached = Literal["address_unreachable", "certificate_not_trusted", "clock_differs", "coordinator_down", "not_let_in"]
WORDS: dict[Unreached, str] = {
    "address_unreachable": "the coordinator's address cannot be reached from here; ask your network people, or there",
    "certificate_not_trusted": "its certificate has ended or is not the one you joined with; telephone the coordinator",
    "clock_differs": "the clock here and there differ by minutes; set it",
    "coordinator_down": "the front door answers, but what is behind it does not run; telephone the coordinator",
    "not_let_in": "the coordinator has not admitted this site yet, has revoked it, or knows a node with its key",
}
# Flower refuses what was signed longer ago or ahead, less what a question takes.
LARGEST_SKEW = timedelta(minutes=4)
TIMEOUT_S = 10.0


def why_not_connected(bundle: JoinBundle) -> Unreached:
    """Return what stands between this site and the federation that it joined."""
    host, _, port = bundle.address.rpartition(":")
    context = ssl.create_default_context(cadata=bundle.ca_certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    connection = http.client.HTTPSConnection(host.strip("[]"), int(port), timeout=TIMEOUT_S, context=context)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
    except ssl.SSLCertVerificationError:
        return "certificate_not_trusted"
    except (OSError, http.client.HTTPException):
        return "address_unreachable"
    finally:
        connection.close()
    there = answer.getheader("Date")
    if there is not None and abs(datetime.now(UTC) - parsedate_to_datetime(there)) > LARGEST_SKEW:
        return "clock_differs"
    return "not_let_in" if answer.status == http.client.OK else "coordinator_down"


def is_reachable(bundle: JoinBundle) -> bool:
    """Return whether nothing stands between this site and the federation but, perhaps, that it is not admitted."""
    return why_not_connected(bundle) == "not_let_in"
