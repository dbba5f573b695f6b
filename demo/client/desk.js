// The reading desk in the browser: sends what the reader does, puts the pieces that changed in their place.
// Nothing is kept here: no storage, no other host.
(() => {
  "use strict";
  const state = { token: null, order: [], chosen: null, at: 0, busy: Promise.resolve(), editing: null, waiting: [] };
  const $ = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const desk = () => $("fp-desk");
  const ask = window.fedpsmaAsk;

  // ---- the way to the server ----
  async function post(path, body, type = "application/json") {
    const sent = type === "application/json" ? JSON.stringify(body) : body;
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": type }, body: sent });
    if (answer.status === 401) { location.href = "/"; throw new Error("logged out"); }
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || `the server answered ${answer.status}`);
    return answer.json();
  }

  // One thing after the other, in the order in which the reader did it.
  function inTurn(work) {
    state.busy = state.busy.then(work).catch((error) => { desk().querySelector(".fp-card").inert = false; toast(error.message); });
    return state.busy;
  }

  const act = (asked) => inTurn(async () => {
    if (!state.token) return;
    const token = state.token;
    const answer = await post(`/fp/reading/${token}/act`, asked);
    if (token === state.token) show(answer);
  });

  async function open(study, takeOver = false) {
    await inTurn(async () => {
      const answer = await post("/fp/open", { study, take_over: takeOver });
      if (answer.busy && study === null) { studies(); return; }
      if (answer.busy) {
        const yes = await ask("Already open", answer.problem + ". Take it over?", false);
        if (yes !== null) setTimeout(() => open(study, true));
        return;
      }
      opened(answer);
    });
  }

  function opened(answer) {
    if (answer.problem) { toast(answer.problem); return; }
    if (state.token && state.token !== answer.token) leave();
    state.token = answer.token;
    state.editing = null;
    state.waiting = [];
    for (const box of all(".fp-box", desk())) box.remove();
    $("fp-picture").innerHTML = answer.picture;
    $("fp-writer").value = "template";
    $("fp-wording-told").textContent = "";
    if ($("fp-studies").open) $("fp-studies").close();
    document.title = "Reading room";
    show(answer);
    const viewer = $("fp-viewer");
    if (viewer) viewer.hidden = !answer.viewer;
    $("fp-picture").hidden = !!answer.viewer;
  }

  const leave = () => { if (state.token) navigator.sendBeacon(`/fp/reading/${state.token}/leave`); };

  // Who closed his window without a word must not keep a study from others, so that an open page says it is there.
  async function stay() {
    const token = state.token;
    const answer = token && (await fetch(`/fp/reading/${token}/here`, { method: "POST" }).catch(() => null));
    if (answer?.status !== 404 || token !== state.token) return;
    state.token = null;
    toast("This reading was opened in another window. Open it again to go on here.");
  }

  // ---- showing ----
  function show(answer) {
    desk().querySelector(".fp-card").inert = false;
    if (answer.problem) { toast(answer.problem); return; }
    const focus = document.activeElement && document.activeElement.closest ? focusName(document.activeElement) : null;
    for (const [name, change] of Object.entries(answer.panels || {})) place(name, change);
    const chosenBefore = state.chosen;
    state.order = answer.order || state.order;
    state.chosen = answer.chosen;
    if (state.chosen) state.at = state.order.indexOf(state.chosen);
    desk().dataset.state = answer.standing;
    count("fp-count-questions", answer.questions);
    count("fp-count-checks", answer.failed);
    highlight(chosenBefore !== state.chosen);
    if (focus) refocus(focus);
    if (answer.viewer !== undefined) document.dispatchEvent(new CustomEvent("fp:value", { detail: answer.viewer }));
  }

  function place(name, change) {
    const panel = document.querySelector(`[data-panel="${name}"]`);
    if (!panel) return;
    // What the reader is writing is never taken away: what came meanwhile waits until he is done.
    const written = panel.querySelector(".fp-box")?.closest("[data-piece]");
    if (written && (change.whole !== undefined || written.dataset.piece in change.pieces)) {
      state.waiting.push([name, change]);
      if (change.whole !== undefined) return;
      change = { pieces: Object.fromEntries(Object.entries(change.pieces).filter(([key]) => key !== written.dataset.piece)) };
    }
    if (change.whole !== undefined) { panel.innerHTML = change.whole; return; }
    for (const [key, html] of Object.entries(change.pieces)) {
      const old = panel.querySelector(`:scope > [data-piece="${CSS.escape(key)}"]`);
      const holder = document.createElement(name === "table" ? "tbody" : "div");
      holder.innerHTML = html;
      if (old) old.replaceWith(holder.firstElementChild);
    }
  }

  const focusName = (element) => element.dataset.focus || element.id || null;

  function refocus(name) {
    if (document.activeElement && document.activeElement !== document.body) return;
    const same = document.querySelector(`[data-focus="${CSS.escape(name)}"]`) || $(name);
    if (same && !same.disabled) { same.focus({ preventScroll: true }); return; }
    const key = name.split("/").slice(0, -1).join("/");
    const near = key && document.querySelector(`[data-key="${CSS.escape(key)}"] button`);
    (near || document.querySelector(`[data-focus="row/${CSS.escape(state.chosen || "")}"]`) || desk().querySelector(".fp-pane:not([hidden])"))?.focus({ preventScroll: true });
  }

  function count(id, number) {
    const place = $(id);
    place.hidden = !number;
    place.textContent = number || "";
  }

  function highlight(moved) {
    for (const row of all("[data-row]")) mark(row, row.dataset.row === state.chosen);
    for (const one of all(".fp-sentence")) one.classList.toggle("fp-speaks", !!one.querySelector(`[data-jump="${CSS.escape(state.chosen || "")}"]`));
    if (!moved || !state.chosen) return;
    const row = document.querySelector(`[data-row="${CSS.escape(state.chosen)}"]`);
    row?.scrollIntoView({ block: "nearest" });
    const pane = $("fp-pane-report");
    const first = pane.querySelector(".fp-speaks");
    if (first && !pane.hidden && !pane.contains(document.activeElement)) first.scrollIntoView({ block: "nearest" });
    $("fp-live").textContent = row ? row.innerText.replace(/\s+/g, " ") : "";
  }

  const mark = (row, on) => (on ? row.setAttribute("aria-current", "true") : row.removeAttribute("aria-current"));

  let toastTimer = 0;
  function toast(text, kind = "bad") {
    const place = $("fp-toast");
    place.textContent = text;
    place.dataset.kind = kind;
    place.hidden = false;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => { place.hidden = true; }, 8000);
  }

  // ---- choosing a lesion ----
  function jump(lesion) {
    if (!lesion || !state.order.includes(lesion)) return;
    // The card still shows the lesion before: nothing on it may be pressed until it shows this one.
    if (lesion !== state.chosen) desk().querySelector(".fp-card").inert = true;
    for (const row of all("[data-row]")) mark(row, row.dataset.row === lesion);
    return act({ kind: "look", lesion });
  }

  function step(by) {
    if (!state.order.length) return;
    const at = state.order.indexOf(state.chosen);
    // Where the chosen lesion was deleted, the one that took its place comes next.
    const next = at < 0 ? state.at + Math.min(by, 0) : at + by;
    jump(state.order[(next + state.order.length) % state.order.length]);
  }

  // ---- sentences ----
  function edit(holder) {
    if (!holder || desk().dataset.state === "signed" || desk().dataset.state === "amended") return;
    const text = holder.querySelector(".fp-text");
    write(holder, text.dataset.text, (words) => act({ kind: "sentence", key: holder.dataset.key, deed: "edited", text: words }), text);
  }

  function addTo(button) {
    const section = button.dataset.add;
    const holder = document.createElement("div");
    holder.className = "fp-sentence";
    button.closest(".fp-section").append(holder);
    write(holder, "", (words) => act({ kind: "own", section, text: words }), null, button);
  }

  function write(holder, words, keep, hidden, back) {
    if (state.editing) state.editing.drop();
    const box = document.createElement("textarea");
    box.className = "fp-box";
    box.value = words;
    box.rows = Math.max(2, Math.ceil(words.length / 60));
    box.maxLength = 2000;
    box.setAttribute("aria-label", "Wording of this sentence; Ctrl+Enter keeps it, Escape drops it");
    const buttons = document.createElement("div");
    buttons.className = "fp-buttons";
    const save = Object.assign(document.createElement("button"), { type: "button", className: "fp-button fp-primary", textContent: "Keep" });
    const cancel = Object.assign(document.createElement("button"), { type: "button", className: "fp-button", textContent: "Cancel" });
    buttons.append(save, cancel);
    const leave = () => {
      state.editing = null;
      box.remove(); buttons.remove();
      if (hidden) hidden.hidden = false; else holder.remove();
      for (const [name, change] of state.waiting.splice(0)) place(name, change);
      (back || holder.querySelector("[data-edit]"))?.focus({ preventScroll: true });
    };
    const done = () => { const said = box.value.trim(); leave(); if (said && said !== words) keep(said); };
    state.editing = { drop: leave };
    save.onclick = done;
    cancel.onclick = leave;
    box.onkeydown = (event) => {
      if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); leave(); }
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); done(); }
    };
    if (hidden) hidden.hidden = true;
    holder.prepend(box, buttons);
    box.focus();
  }

  // ---- wording by the language model ----
  async function word(writer) {
    const token = state.token;
    const told = $("fp-wording-told");
    await inTurn(async () => {
      const answer = await post(`/fp/reading/${token}/word`, { writer });
      if (token !== state.token) return;
      show(answer);
      const { wording } = answer;
      if (!wording || (writer !== "llm" && writer !== null) || $("fp-writer").value !== "llm") { told.textContent = ""; return; }
      if (wording.problem) { told.textContent = wording.problem; $("fp-writer").value = "template"; return; }
      told.textContent = wording.finished ? "" : `wording ${wording.done} of ${wording.whole} …`;
      if (!wording.finished) setTimeout(() => { if (token === state.token) word(null); }, 700);
    });
  }

  // ---- review, signature, export ----
  async function copy() {
    const answer = await fetch(`/fp/reading/${state.token}/text`);
    if (!answer.ok) { toast("Review the report first"); return; }
    await navigator.clipboard.writeText(await answer.text());
    toast("The report is on the clipboard", "good");
  }

  async function exportReport() {
    const answer = await fetch(`/fp/reading/${state.token}/export/${$("fp-format").value}`);
    if (!answer.ok) { toast((await answer.json().catch(() => ({}))).detail || "Not exported"); return; }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") || "")?.[1] || "report";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    toast(`${link.download} was exported`, "good");
  }

  // ---- a lesion that was missed ----
  function addHere({ voxel, suv }) {
    const dialog = $("fp-new");
    $("fp-new-told").textContent = suv === null ? "" : `SUV ${suv.toFixed(1)} at the crosshair`;
    dialog.returnValue = "no";
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes") return;
      act({ kind: "add", at: voxel, contour: $("fp-new-contour").value, region: $("fp-new-region").value || null });
    };
    dialog.showModal();
  }

  // ---- places and dialogs ----
  async function studies() {
    $("fp-study-list").innerHTML = (await (await fetch("/fp/studies")).json()).html;
    $("fp-studies").showModal();
  }

  async function federation(button) {
    const place = $("fp-federation");
    const on = place.hidden;
    if (on) place.innerHTML = (await (await fetch("/fp/federation")).json()).html;
    place.hidden = !on;
    desk().classList.toggle("fp-elsewhere", on);
    button.setAttribute("aria-pressed", String(on));
  }

  async function upload(file) {
    await inTurn(async () => {
      const answer = await post(`/fp/upload?name=${encodeURIComponent(file.name)}`, await file.arrayBuffer(), "application/octet-stream");
      $("fp-upload").value = "";
      if (answer.problem && $("fp-studies").open) $("fp-studies").close();
      opened(answer);
    });
  }

  function tab(chosen, focus = true) {
    for (const one of all("[role=tab]", desk())) {
      const on = one === chosen;
      one.setAttribute("aria-selected", String(on));
      one.tabIndex = on ? 0 : -1;
      $(one.getAttribute("aria-controls")).hidden = !on;
    }
    if (focus) chosen.focus();
  }

  // ---- what the reader does ----
  const clicks = {
    jump: (one) => jump(one.dataset.jump),
    do: (one) => act(JSON.parse(one.dataset.do)),
    edit: (one) => edit(one.closest(".fp-sentence")),
    add: addTo,
    open: (one) => open(Number(one.dataset.open)),
    studies,
    place: federation,
    keys: () => $("fp-keys").showModal(),
    review: () => act({ kind: "review" }),
    sign: () => act({ kind: "sign", by: $("fp-signer").value.trim() || "reader" }),
    amend: async () => { const reason = await ask("Amend the signed report", "Reason"); if (reason) act({ kind: "amend", reason }); },
    export: exportReport,
    copy,
    tab: (one) => tab($(`fp-tab-${one.dataset.tab}`)),
  };

  // The viewer has controls of its own.
  const mine = (target) => desk()?.contains(target) && !target.closest(".fpv");

  document.addEventListener("click", (event) => {
    if (!mine(event.target)) return;
    const button = event.target.closest("button");
    if (button?.getAttribute("role") === "tab") { tab(button); return; }
    if (button) {
      const name = Object.keys(clicks).find((one) => one in button.dataset);
      if (name) clicks[name](button);
      return;
    }
    const row = event.target.closest("[data-row]");
    if (row) { jump(row.dataset.row); return; }
  });

  document.addEventListener("dblclick", (event) => {
    const text = event.target.closest?.(".fp-text");
    if (text && desk()?.contains(text)) edit(text.closest(".fp-sentence"));
  });

  document.addEventListener("change", (event) => {
    const one = event.target;
    if (!mine(one)) return;
    if (one.dataset.change) act({ ...JSON.parse(one.dataset.change), [one.dataset.field]: one.value || null });
    if (one.id === "fp-looked") document.querySelector("[data-review]").disabled = !one.checked;
    if (one.id === "fp-writer") word(one.value);
    if (one.id === "fp-upload" && one.files.length) upload(one.files[0]);
  });

  const writing = (target) => target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable=true]");

  document.addEventListener("keydown", (event) => {
    const inViewer = event.target.closest?.(".fpv") && !["n", "p"].includes(event.key);
    if (!desk() || (inViewer && !event.ctrlKey) || writing(event.target) || document.querySelector("dialog[open]")) return;
    const ctrl = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    const keys = ctrl
      ? { z: () => act({ kind: event.shiftKey ? "redo" : "undo" }), y: () => act({ kind: "redo" }) }
      : {
          a: () => document.querySelector('.fpv [data-do="add"]')?.click(),
          n: () => step(1),
          p: () => step(-1),
          x: () => document.querySelector('[data-focus^="exclude/"], [data-focus="include"]')?.focus(),
          e: () => edit(event.target.closest?.(".fp-sentence")),
          r: () => document.querySelector("#fp-looked, #fp-signer, [data-amend]")?.focus(),
          "?": () => $("fp-keys").showModal(),
        };
    if (!ctrl && event.altKey) return;
    if (event.target.getAttribute?.("role") === "tab" && ["arrowleft", "arrowright"].includes(key)) {
      const tabs = all("[role=tab]", desk());
      tab(tabs[(tabs.indexOf(event.target) + (key === "arrowright" ? 1 : -1) + tabs.length) % tabs.length]);
      event.preventDefault();
      return;
    }
    if (keys[key]) { event.preventDefault(); event.stopPropagation(); keys[key](); }
  }, true);

  document.addEventListener("fp:lesion", ({ detail }) => { if (detail.from === "viewer") jump(detail.id); });
  document.addEventListener("fp:add_lesion", ({ detail }) => addHere(detail));

  // The page is drawn by Gradio after this script came.
  const wait = new MutationObserver(begin);
  function begin() {
    if (!desk() || desk().dataset.begun) return;
    const viewer = $("fp-viewer");
    if (!viewer?.querySelector(".fpv")) return;
    desk().dataset.begun = "yes";
    wait.disconnect();
    desk().querySelector(".fp-images").append(viewer);
    window.fedpsma = { act, jump, show, toast, post, token: () => state.token, chosen: () => state.chosen };
    open(null);
    addEventListener("pagehide", leave);
    setInterval(stay, 20000);
  }
  wait.observe(document.documentElement, { childList: true, subtree: true });
  begin();
})();
