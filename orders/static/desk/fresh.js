// Whatever renews itself says for how many seconds it is fresh (data-fresh-for). What is older greys and says since when,
// also after the computer slept, behind another tab, or when the page comes back from the browser's cache.
(() => {
  const RENEWED = "[data-fresh-for]";
  const PAGE_OLD_AFTER = 30_000;
  const openedAt = Date.now();
  const renewedAt = new WeakMap();
  const mumbai = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: "Asia/Kolkata" });

  const isOld = (each) => Date.now() - (renewedAt.get(each) ?? 0) > Number(each.dataset.freshFor) * 1000;

  const renewed = (each) => {
    renewedAt.set(each, Date.now());
    each.classList.remove("desk-stale");
  };

  const look = () => {
    for (const each of document.querySelectorAll(RENEWED)) {
      if (isOld(each)) each.classList.add("desk-stale");
    }
    const age = document.querySelector(".desk-page-age");
    // A page that does not renew itself is as old as it is.
    if (age && Date.now() - openedAt > PAGE_OLD_AFTER && document.querySelectorAll(RENEWED).length === 1) {
      age.textContent = `page of ${mumbai.format(openedAt)}`;
      age.hidden = false;
    }
  };

  const comeBack = () => {
    look();
    if (document.visibilityState !== "visible") return;
    for (const each of document.querySelectorAll(RENEWED)) {
      if (each.hasAttribute("hx-get")) window.htmx.trigger(each, "desk:renew");
      each.dispatchEvent(new CustomEvent("desk:wake"));
    }
  };

  const failed = (event) => event.detail.elt?.closest?.(RENEWED)?.classList.add("desk-stale");

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(RENEWED).forEach(renewed);
    // What a swap brought in is new; htmx tells of each element on its own.
    document.body.addEventListener("htmx:load", (event) => {
      if (event.detail.elt.matches?.(RENEWED)) renewed(event.detail.elt);
    });
    for (const trouble of ["htmx:responseError", "htmx:sendError", "htmx:timeout", "htmx:swapError"]) {
      document.body.addEventListener(trouble, failed);
    }
    setInterval(look, 1000);
  });
  document.addEventListener("visibilitychange", comeBack);
  window.addEventListener("pageshow", (event) => event.persisted && comeBack());
  window.addEventListener("online", comeBack);
  window.deskRenewed = renewed;
})();
