"""The Flower ClientApp of a site: ``client.app:app``."""

from __future__ import annotations

from client.flower import build_app
from client.site import answer_order, locate_site, take_stage

app = build_app(locate_site, answer_order, take_stage)
