"""The page: its frame, the viewer in it, and the scripts that bring both to life."""

from __future__ import annotations

from importlib import resources

import gradio as gr

from demo.panels.lesions import region_options, table_frame
from demo.viewer.component import viewer_component

HEAD = (
    '<link rel="stylesheet" href="/fp/client/page.css">'
    '<script src="/fp/client/ask.js" defer></script><script src="/fp/client/desk.js" defer></script>'
    '<meta name="robots" content="noindex">'
)


def build_page() -> gr.Blocks:
    """Build the page; what it shows comes over the addresses of :mod:`demo.routes`."""
    frame = resources.files("demo").joinpath("client", "desk.html").read_text("utf-8")
    frame = frame.replace("{{table}}", table_frame()).replace("{{regions}}", region_options())
    with gr.Blocks(title="Reading room", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(frame, elem_id="fp-frame", apply_default_css=False, padding=False)
        viewer_component(elem_id="fp-viewer", padding=False)
    return page
