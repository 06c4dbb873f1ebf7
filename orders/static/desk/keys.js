// The list of orders by keyboard. "?" shows the keys. Nothing happens while somebody writes in a field.
"use strict";

(() => {
  const KEYS = [
    ["j or ↓", "the next order"],
    ["k or ↑", "the one before"],
    ["Enter", "open it"],
    ["c", "cancel it: asks first"],
    ["/", "search"],
    ["Ctrl K", "find anything"],
    ["?", "show or hide this"],
    ["Esc", "leave the row"],
  ];

  const rows = () => [...document.querySelectorAll("#result_list tbody tr")].filter((row) => row.querySelector("a[href]"));
  const chosen = () => rows().findIndex((row) => row.classList.contains("desk-row"));
  const address = (row) => row && row.querySelector("th a[href], td a[href*='/change/']");

  function choose(index) {
    const all = rows();
    all.forEach((row) => { row.classList.remove("desk-row"); row.removeAttribute("aria-current"); });
    const row = all[Math.max(0, Math.min(index, all.length - 1))];
    if (!row || index === null) return;
    row.classList.add("desk-row");
    row.setAttribute("aria-current", "true");
    row.scrollIntoView({ block: "nearest" });
  }

  function open(suffix) {
    const link = address(rows()[chosen()]);
    if (!link) return;
    const url = new URL(link.href);
    url.hash = suffix;
    window.location.assign(url);
  }

  function help() {
    const shown = document.getElementById("desk-keys");
    if (shown) { shown.remove(); return; }
    const box = document.createElement("aside");
    box.id = "desk-keys";
    box.setAttribute("role", "status");
    const list = document.createElement("dl");
    for (const [key, does] of KEYS) {
      const [term, said] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = key;
      said.textContent = does;
      list.append(term, said);
    }
    box.append(list);
    document.body.append(box);
  }

  const ACTS = {
    j: () => choose(chosen() + 1),
    ArrowDown: () => choose(chosen() + 1),
    k: () => choose(chosen() - 1),
    ArrowUp: () => choose(chosen() - 1),
    Enter: () => open(""),
    c: () => open("cancel"),
    "/": () => document.getElementById("searchbar")?.focus(),
    "?": help,
    Escape: () => { document.getElementById("desk-keys")?.remove(); choose(null); },
  };

  const writes = (target) => target.closest("input, textarea, select, [contenteditable], #dialog, #command-results");

  document.addEventListener("keydown", (event) => {
    if (!document.getElementById("result_list") && event.key !== "/") return;
    if (event.ctrlKey || event.metaKey || event.altKey || writes(event.target)) return;
    const act = ACTS[event.key];
    if (!act) return;
    // A focused link or button keeps its Enter, unless a row is chosen.
    if (event.key === "Enter" && (chosen() < 0 || event.target.closest("a, button"))) return;
    event.preventDefault();
    act();
  });

  // An order's page that was opened by "c" shows the dialog at once, if the order can be cancelled.
  window.addEventListener("load", () => {
    if (window.location.hash !== "#cancel") return;
    history.replaceState(null, "", window.location.pathname + window.location.search);
    document.querySelector("a[hx-get$='/cancel/'], a[href$='/cancel/'], [hx-get*='/cancel/']")?.click();
  });
})();
