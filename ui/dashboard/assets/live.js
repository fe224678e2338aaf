// Keeps a page up to date: when the service says that something has changed, the
// page is loaded again, and what differs takes its place. Parts that somebody is
// typing in, or has opened, stay as they are.
"use strict";
(() => {
  const script = document.currentScript;
  const source = new EventSource(script.dataset.live);
  const offline = document.getElementById("offline");
  let loading = false;
  let again = false;

  const takeOver = (old, fresh) => {
    if (!fresh || old.outerHTML === fresh.outerHTML || old.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) {
      return;
    }
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const open = new Set([...old.querySelectorAll("details[open][id]")].map((d) => d.id));
    fresh.querySelectorAll("details[id]").forEach((d) => { d.open = d.open || open.has(d.id); });
    old.replaceWith(document.adoptNode(fresh));
    if (focused) {
      [...fresh.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused)?.focus({ preventScroll: true });
    }
  };

  const load = async () => {
    if (loading) {
      again = true;
      return;
    }
    loading = true;
    try {
      const answer = await fetch(location.href, { redirect: "manual" });
      if (answer.type === "opaqueredirect") {
        location.reload(); // the session has ended
        return;
      }
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        document.title = page.title;
        document.querySelectorAll("main > [id]").forEach((part) => takeOver(part, page.getElementById(part.id)));
      }
    } catch {
      offline.hidden = false;
    } finally {
      loading = false;
      if (again) {
        again = false;
        load();
      }
    }
  };

  source.addEventListener("change", load);
  source.addEventListener("open", () => {
    offline.hidden = true;
    load(); // what has changed since the page was written, or since the connection was lost
  });
  source.addEventListener("error", () => { offline.hidden = false; });
})();
