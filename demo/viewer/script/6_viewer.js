// What the reader does: pointer, keys and controls change one state, and the next frame draws it.
const PAGE = 10, CLICK_PX = 4, TURN_PX = 8, CINE_MS = 100;
const LARGEST_SHARES = [0.02, 0.05, 0.1, 0.25, 1];

class Viewer {
  constructor(root, trigger) {
    Object.assign(this, { root, trigger, turn: 0, dirty: false, value: null });
    this.colours = new Colours();
    this.state = { volumes: null, colours: this.colours, point: [0, 0, 0], angle: 0, mode: "fused", lesions: [], selected: null, outlines: true, top: 15, ct: [...CT_WINDOWS.soft], opacity: 0.7 };
    const canvas = (name) => root.querySelector(`[data-pane=${name}]`);
    this.panes = { mip: new Mip(canvas("mip")), ...Object.fromEntries(Object.keys(PLANES).map((name) => [name, new Plane(canvas(name), name)])) };
    this.active = "axial";
    for (const [name, pane] of Object.entries(this.panes)) this.listen(name, pane.canvas);
    root.addEventListener("click", (event) => this.press(event.target.closest("[data-do]")));
    root.addEventListener("input", ({ target }) => this.choose(target.dataset.choose, target.value));
    root.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.redraw()).observe(root);
    const heard = ({ detail }) => {
      if (!root.isConnected) return document.removeEventListener("fp:lesion", heard);
      if (detail.from !== "viewer") this.jump(detail.id);
    };
    document.addEventListener("fp:lesion", heard);
  }

  // Takes what Python says; only what changed is fetched.
  async show(value) {
    const before = this.value, turn = ++this.turn, state = this.state;
    this.value = value;
    if (!value || !value.place) return this.close();
    try {
      if (!before || before.place !== value.place) await this.open(value, turn);
      else if (before.revision !== value.revision) {
        const lesions = await fetchPart(value.place, "lesions", value.revision);
        if (turn === this.turn) state.volumes.setLesions(lesions);
      }
    } catch (error) { return this.fail(error); }
    if (turn !== this.turn) return;
    const hidden = new Set(state.lesions.filter((one) => one.hidden).map((one) => one.id));
    state.lesions = value.lesions.map((one) => ({ ...one, hidden: hidden.has(one.id), colour: one.excluded ? "#767676" : one.colour }));
    this.panes.mip.forget();
    const moved = value.selected && (!before || before.place !== value.place || value.selected !== before.selected);
    if (moved) this.jump(value.selected); else this.redraw();
  }

  async open({ place, revision }, turn) {
    this.root.dataset.state = "loading";
    this.state.volumes = null;
    const meta = await fetchPart(place, "meta"), volumes = new Volumes(meta), later = meta.ct ? fetchPart(place, "ct") : null;
    [volumes.pet, volumes.rotation] = await Promise.all([fetchPart(place, "pet"), fetchPart(place, "rotation")]);
    volumes.setLesions(await fetchPart(place, "lesions", revision));
    if (turn !== this.turn) return;
    const start = volumes.ranges.map(([low, high]) => (low + high) >> 1);
    Object.assign(this.state, { volumes, point: start, angle: 0, mode: later ? "fused" : "pet", lesions: [], selected: null });
    this.offerWindows(meta);
    this.redraw();
    volumes.ct = await later;
    if (turn !== this.turn) return;
    this.root.dataset.state = "ready";
    performance.mark("fp:ready");
    this.redraw();
  }

  close() { this.state.volumes = null; this.root.dataset.state = "empty"; }
  fail(error) { this.close(); this.say(`The images could not be loaded: ${error.message}`); }
  say(words) { this.find("say").textContent = words; }
  find(name) { return this.root.querySelector(`[data-show=${name}]`); }

  offerWindows({ unit, ct, notes }) {
    const tops = unit === "SUV" ? SUV_TOPS : LARGEST_SHARES.map((share) => Math.round(65535 * this.state.volumes.meta.step * share));
    this.root.querySelector("[data-choose=top]").replaceChildren(...tops.map((top) => new Option(`${unit} 0–${top}`, top, top === 15, top === 15)));
    this.state.top = unit === "SUV" ? 15 : tops[2];
    this.find("notes").textContent = notes.join("; ");
    for (const one of this.root.querySelectorAll("[data-needs=ct]")) one.disabled = !ct;
  }

  redraw() {
    if (this.dirty || !this.state.volumes) return;
    this.dirty = true;
    requestAnimationFrame(() => { this.dirty = false; this.draw(); });
  }

  draw() {
    const { state } = this, { volumes } = state;
    if (!volumes || !this.root.clientWidth) return;
    const windows = [state.top, state.opacity, ...state.ct].join();
    if (windows !== this.windows) {
      this.colours.setPet(state.top / volumes.meta.step, state.opacity);
      this.colours.setCt(state.ct);
      this.windows = windows;
    }
    for (const pane of Object.values(this.panes)) pane.draw(state);
    this.tell();
  }

  tell() {
    const { state, root } = this, { volumes, point } = state, { unit } = volumes.meta, at = volumes.mm(point);
    const value = unit === "SUV" ? `SUV ${volumes.uptake(point).toFixed(2)}` : `no SUV, ${Math.round(volumes.uptake(point))} Bq/ml`;
    const density = volumes.ct ? `, ${volumes.ct[volumes.at(point)]} HU` : "";
    const place = [["R", "L"], ["A", "P"], ["S", "I"]].map((ends, axis) => `${ends[at[axis] < 0 ? 1 : 0]} ${Math.abs(at[axis]).toFixed(0)}`);
    this.find("readout").textContent = `${value}${density} · ${place.join(", ")} mm`;
    for (const [name, { along, canvas }] of Object.entries(this.panes)) {
      const [now, most] = name === "mip" ? [state.angle * 10, 350] : [point[along] + 1, volumes.meta.shape[along]];
      Object.entries({ valuenow: now, valuemax: most, valuetext: name === "mip" ? `${now} degrees` : `slice ${now} of ${most}, ${value}` })
        .forEach(([key, words]) => canvas.setAttribute(`aria-${key}`, words));
    }
    root.querySelectorAll("[data-do]").forEach((one) => {
      const [what, which] = one.dataset.do.split(":"), on = { mode: volumes.ct ? state.mode === which : which === "pet", outlines: state.outlines, cine: !!this.cine, ct: String(CT_WINDOWS[which]) === String(state.ct) }[what];
      if (on !== undefined) one.setAttribute("aria-pressed", on);
    });
    Object.assign(root.dataset, { voxel: volumes.toStudy(point).join(), angle: state.angle * 10, lesion: state.selected || "", top: state.top });
  }

  set(changes) { Object.assign(this.state, changes); this.redraw(); }

  // A point that the reader chose; a lesion under it is chosen with it, and the table hears of it.
  place(point, settled = true) {
    const { state } = this, number = state.outlines ? state.volumes.lesionAt(point) : 0;
    const lesion = settled && state.lesions.find((one) => one.value === number && number && !one.hidden);
    this.set({ point, ...(lesion ? { selected: lesion.id } : {}) });
    if (lesion) this.send("lesion", { id: lesion.id });
    if (settled) this.send("point", this.here(), false);
  }
  here() {
    const { volumes, point } = this.state;
    return { voxel: volumes.toStudy(point), mm: volumes.mm(point), suv: volumes.meta.unit === "SUV" ? volumes.uptake(point) : null };
  }
  send(name, detail, server = true) {
    document.dispatchEvent(new CustomEvent(`fp:${name}`, { detail: { ...detail, from: "viewer" } }));
    if (server) this.trigger(name, detail);
  }

  jump(id) {
    const { state } = this, lesion = state.lesions.find((one) => one.id === id);
    if (!lesion || !state.volumes) return;
    this.set({ selected: id, ...(lesion.peak ? { point: state.volumes.fromStudy(lesion.peak) } : {}) });
    this.say(`${lesion.id} of ${state.lesions.length}${lesion.excluded ? ", excluded" : ""}`);
  }
  walk(by) {
    const { lesions, selected } = this.state, at = lesions.findIndex((one) => one.id === selected);
    const next = lesions[(at < 0 && by < 0 ? lesions.length - 1 : at + by + lesions.length) % (lesions.length || 1)];
    if (next) { this.jump(next.id); this.send("lesion", { id: next.id }); }
  }

  scroll(name, by) {
    const { state } = this, { point } = state, axis = this.panes[name].along;
    if (name === "mip") this.set({ angle: (((state.angle + by) % 36) + 36) % 36 });
    else this.set({ point: state.volumes.clamp(point.map((at, one) => (one === axis ? at + by : at))) });
  }

  listen(name, canvas) {
    let start = null;
    const pane = this.panes[name], { state } = this;
    const follow = (event, settled) => { const point = pane.pointAt(event, state); if (point) this.place(point, settled); };
    canvas.addEventListener("pointerdown", (event) => {
      if (!state.volumes) return;
      this.active = name;
      canvas.setPointerCapture(event.pointerId);
      start = { x: event.clientX, y: event.clientY, angle: state.angle, top: state.top, ct: state.ct, window: event.shiftKey || event.button === 2 };
      if (name !== "mip" && !start.window) follow(event, false);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!start) return;
      const [right, down] = [event.clientX - start.x, event.clientY - start.y];
      if (start.window) this.drag(name, start, right, down);
      else if (name === "mip") this.set({ angle: (((start.angle - Math.round(right / TURN_PX)) % 36) + 36) % 36 });
      else follow(event, false);
    });
    canvas.addEventListener("pointerup", (event) => {
      const still = start && Math.hypot(event.clientX - start.x, event.clientY - start.y) < CLICK_PX;
      if (start && !start.window && (still || name !== "mip")) follow(event, true);
      start = null;
    });
    canvas.addEventListener("pointercancel", () => { start = null; });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); if (state.volumes) this.scroll(name, event.deltaY > 0 ? -1 : 1); }, { passive: false });
    canvas.addEventListener("focus", () => { this.active = name; });
  }

  // Dragging with the right button: up narrows the window; on CT, across moves its level.
  drag(name, start, right, down) {
    if (name !== "mip" && this.state.mode === "ct") this.set({ ct: [start.ct[0] + 2 * right, Math.max(10, start.ct[1] + 4 * down)] });
    else this.set({ top: +(start.top * Math.exp(down / 150)).toPrecision(3) });
  }

  choose(what, given) { if (what && this.state.volumes) this.set({ [what]: Number(given) }); }

  press(control) {
    if (!control) return;
    const [what, which] = control.dataset.do.split(":");
    if (what === "help") return this.help();
    if (!this.state.volumes) return;
    ({ mode: () => this.set({ mode: which }), ct: () => this.set({ ct: [...CT_WINDOWS[which]] }), outlines: () => this.set({ outlines: !this.state.outlines }), cine: () => this.spin(), walk: () => this.walk(Number(which)), add: () => this.send("add_lesion", this.here()) })[what]();
  }

  help() { const box = this.root.querySelector("dialog"); if (box.open) box.close(); else box.showModal(); }

  spin() {
    if (this.cine) clearInterval(this.cine);
    this.cine = this.cine ? null : setInterval(() => (this.root.isConnected ? this.scroll("mip", 1) : this.spin()), CINE_MS);
    this.redraw();
  }

  key(event) {
    const { state } = this, by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: PAGE, PageDown: -PAGE, Home: -1e4, End: 1e4 }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input, dialog")) return;
    const pane = event.target.dataset.pane, hide = () => { const one = state.lesions.find(({ id }) => id === state.selected); if (one) { one.hidden = !one.hidden; this.redraw(); } };
    const letter = { "?": "help", 1: "ct:soft", 2: "ct:lung", 3: "ct:bone", t: "outlines", c: "cine", n: "walk:1", p: "walk:-1", a: "add", h: hide, m: `mode:${{ fused: "pet", pet: "ct", ct: "fused" }[state.mode]}` }[event.key];
    if (by && pane && state.volumes) this.scroll(pane, pane === "mip" && Math.abs(by) > PAGE ? -state.angle : by);
    else if (typeof letter === "function") letter();
    else if (letter) this.press({ dataset: { do: letter } });
    else return;
    event.preventDefault();
  }
}
