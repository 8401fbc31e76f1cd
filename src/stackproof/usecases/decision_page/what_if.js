"use strict";
(() => {
  const others = JSON.parse(document.getElementById("what-if-data").textContent);
  const form = document.getElementById("what-if");
  const shown = [...document.querySelectorAll("[data-role]")].map(it => ({
    it, classes: classesOf(it),
    parts: [...it.querySelectorAll("[data-part]")].map(part => ({ part, text: part.textContent, classes: classesOf(part) })),
  }));

  const links = [...document.querySelectorAll("[data-link]")];

  function classesOf(it) { return it.getAttribute("class") || ""; }

  function setClasses(it, classes) { if (classes) it.setAttribute("class", classes); else it.removeAttribute("class"); }

  function asAnswered() {
    links.forEach(link => link.removeAttribute("style"));
    for (const { it, classes, parts } of shown) {
      setClasses(it, classes);
      for (const { part, text, classes } of parts) {
        part.textContent = text;
        setClasses(part, classes);
      }
    }
  }

  function verdict(classes, name) { return classes.replace(/\bis-\w+/, "is-" + name); }

  function change(one) {
    for (const link of links.filter(link => link.dataset.link.split(" ").includes(one.role))) {
      link.style.visibility = "hidden";
    }
    for (const { it, classes, parts } of shown.filter(({ it }) => it.dataset.role === one.role)) {
      setClasses(it, verdict(classes, one.verdict) + " is-changed");
      const small = it instanceof SVGElement;
      const texts = {
        tool: small ? one.short : one.verdict === "use" ? one.tool : "",
        note: small ? one.wasShort : one.was, verdict: one.pill,
      };
      for (const { part, classes } of parts) {
        part.textContent = texts[part.dataset.part];
        setClasses(part, verdict(classes, one.verdict));
      }
    }
  }

  function show() {
    const value = new FormData(form).get("what-if");
    asAnswered();
    const other = value ? others[Number(value)] : null;
    document.getElementById("what-if-told").textContent = other ? other.told : "";
    if (other) other.changes.forEach(change);
  }

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach(it => { it.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach(it => { it.open = false; }));

  addEventListener("click", event => {
    const to = event.target.closest?.('a[href^="#"]');
    const folded = to && document.getElementById(to.hash.slice(1))?.closest("details");
    if (folded) folded.open = true;
  });

  if (form) {
    document.getElementById("what-if-table").open = false;
    form.hidden = false;
    form.addEventListener("change", show);
    form.addEventListener("submit", event => event.preventDefault());
  }
})();
