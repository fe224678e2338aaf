// Keeps a page up to date: when the service says that something has changed, the
// page is loaded again, and what differs takes its place. Parts that somebody is
// typing in, or has opened, stay as they are. A page that nobody sees listens to
// nothing: browsers have few connections to a host.
"use strict";
(() => {
  const script = document.currentScript;
  let source = null;
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

  // Parts come and go: an approval that is asked for, the states of what has begun.
  const takeOverAll = (page) => {
    const fresh = [...page.querySelectorAll("main > [id]")];
    const ids = new Set(fresh.map((part) => part.id));
    document.querySelectorAll("main > [id]").forEach((old) => { if (!ids.has(old.id)) { old.remove(); } });
    let before = null;
    for (const part of fresh) {
      const old = document.getElementById(part.id);
      if (old) {
        takeOver(old, part);
      } else if (before) {
        before.after(document.adoptNode(part));
      }
      before = document.getElementById(part.id);
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
        takeOverAll(page);
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

  const listen = () => {
    if (source || document.hidden) {
      return;
    }
    source = new EventSource(script.dataset.live);
    source.addEventListener("change", load);
    source.addEventListener("open", () => {
      offline.hidden = true;
      load(); // what has changed since the page was written, or since the connection was lost
    });
    source.addEventListener("error", () => {
      offline.hidden = false;
      if (source?.readyState === EventSource.CLOSED) { // after an answer like 502 the browser gives up
        source = null;
        setTimeout(() => { load().then(listen); }, 5000);
      }
    });
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else {
      listen();
    }
  });
  listen();
})();
