"""The one page that a person sees: light or dark as the machine is, narrow or wide."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from aiohttp import web

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center;
       background: light-dark(#f4f5f7, #16181d); color: light-dark(#1c1e22, #e8e9eb); }
main { width: min(22rem, calc(100vw - 4rem)); padding: 2rem; border-radius: 0.75rem;
       background: light-dark(#fff, #20232a); box-shadow: 0 1px 8px #0002; }
h1 { font-size: 1.25rem; margin: 0 0 0.75rem; }
code { display: block; padding: 0.75rem; border-radius: 0.5rem; overflow-wrap: anywhere;
       background: light-dark(#f4f5f7, #16181d); }
button { width: 100%; padding: 0.75rem; border: 0; border-radius: 0.5rem; font: inherit; font-weight: 600;
         color: #fff; background: #387ed1; cursor: pointer; }
button:focus-visible { outline: 3px solid light-dark(#1c1e22, #e8e9eb); outline-offset: 2px; }
"""


def page(title: str, body: str, *, action: str | None = None, hidden: Mapping[str, str] | None = None) -> web.Response:
    """Return a page; `body` is HTML, and with an action it has a button that posts the hidden fields."""
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(text)}">' for name, text in (hidden or {}).items()
    )
    form = f'<form method="post" action="{escape(action)}">{fields}<button>Log in</button></form>' if action else ""
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}{form}</main></body></html>"
    )
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
    }
    return web.Response(text=text, content_type="text/html", headers=headers)
