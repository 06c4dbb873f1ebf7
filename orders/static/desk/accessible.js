// What the theme leaves unsaid to those who hear a page, or move through it by keyboard.
(() => {
  const SCROLLING = ".desk-scroll, .desk-raw";
  const ICON = ".material-symbols-outlined";

  const nameOf = (each) => each.closest("section, fieldset")?.querySelector("h2, h3")?.textContent.trim() || "Table";

  // A table that is wider than its place is scrolled in it: by keyboard, too, and it says what it is.
  const see = (each) => {
    if (each.scrollWidth <= each.clientWidth && each.scrollHeight <= each.clientHeight) {
      each.removeAttribute("tabindex");
      return;
    }
    each.tabIndex = 0;
    if (each.tagName === "SECTION" || each.hasAttribute("role")) return;
    each.setAttribute("role", "group");
    each.setAttribute("aria-label", nameOf(each));
  };
  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => see(entry.target)));

  // An icon is a word of the icons' font: "front_hand" is not to be read out before STOP.
  const SPOKEN = { arrow_back: "Back to the list", candlestick_chart: "Order Executor: overview", close: "Close", more_horiz: "More actions" };
  const hush = (icon) => {
    const word = icon.textContent.trim();
    const pressed = icon.closest("a, button");
    const isAlone = pressed && pressed.textContent.trim() === word && !pressed.ariaLabel;
    if (isAlone && !SPOKEN[word]) return;
    if (isAlone) pressed.ariaLabel = SPOKEN[word];
    icon.setAttribute("aria-hidden", "true");
  };

  // Seen at once, too: until the next frame the observer says nothing.
  const follow = (each) => {
    see(each);
    sizes.observe(each);
  };

  const watch = (root) => {
    if (root.matches?.(SCROLLING)) follow(root);
    root.querySelectorAll?.(SCROLLING).forEach(follow);
    root.querySelectorAll?.(ICON).forEach(hush);
  };

  document.addEventListener("DOMContentLoaded", () => {
    watch(document);
    // As soon as it stands in the page; "htmx:load" comes some frames later.
    document.body.addEventListener("htmx:afterSwap", (event) => watch(event.target));
  });
})();
