// What the reader does: pointer, keys and controls.
const PAGE = 10, CLICK_PX = 4, TURN_PX = 8, CINE_MS = 100, NOTCH_PX = 30, LINE_PX = 40;
const STEPS = {
  ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: PAGE, PageDown: -PAGE, Home: -1e5, End: 1e5,
};
const LETTERS = {
  "?": "help", 1: "ct:soft", 2: "ct:lung", 3: "ct:bone", m: "mode", t: "outlines", h: "hide",
  c: "cine", n: "walk:1", p: "walk:-1", a: "add",
};
const MODES = ["fused", "pet", "ct"];

const ACTIONS = {
  mode: (viewer, which) => viewer.set({ mode: which || MODES[(MODES.indexOf(viewer.state.mode) + 1) % MODES.length] }),
  ct: (viewer, which) => viewer.set({ ct: CT_WINDOWS[which] }),
  outlines: (viewer) => viewer.set({ outlines: !viewer.state.outlines }),
  add: (viewer) => viewer.send("add_lesion", viewer.here()),
  hide: (viewer) => {
    const lesion = viewer.state.lesions.find((one) => one.id === viewer.state.selected);
    if (lesion) lesion.hidden = !lesion.hidden;
    viewer.redraw();
  },
  walk: (viewer, by) => {
    const { lesions, selected } = viewer.state, count = lesions.length;
    if (!count) return;
    const at = lesions.findIndex((one) => one.id === selected), from = at < 0 && by < 0 ? 0 : at;
    const next = lesions[(from + Number(by) + count) % count];
    viewer.jump(next.id);
    viewer.send("lesion", { id: next.id });
  },
  cine: (viewer) => {
    clearInterval(viewer.cine);
    const on = () => (viewer.root.isConnected ? scroll(viewer, "mip", 1) : clearInterval(viewer.cine));
    viewer.cine = viewer.cine ? null : setInterval(on, CINE_MS);
    viewer.redraw();
  },
};

function act(viewer, what) {
  const [name, which] = (what || "").split(":");
  if (name === "help") viewer.root.querySelector("dialog").showModal();
  else if (name && viewer.state.volumes) ACTIONS[name](viewer, which);
}

function scroll(viewer, name, by) {
  const { point, angle, volumes } = viewer.state, moved = [...point], axis = viewer.panes[name].along;
  if (name === "mip") return viewer.set({ angle: (((Math.abs(by) > TURN ? 0 : angle + by) % TURN) + TURN) % TURN });
  moved[axis] += by;
  return viewer.set({ point: volumes.clamp(moved) });
}

function listenToReader(viewer) {
  const { root, state } = viewer;
  root.addEventListener("click", ({ target }) => act(viewer, target.closest("[data-do]")?.dataset.do));
  root.addEventListener("input", ({ target }) => viewer.set({ [target.dataset.choose]: Number(target.value) }));
  root.addEventListener("keydown", (event) => {
    const { target, key } = event, pane = target.dataset.pane;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("select, input, dialog")) return;
    if (STEPS[key] && pane && state.volumes) scroll(viewer, pane, STEPS[key]);
    else if (LETTERS[key]) act(viewer, LETTERS[key]);
    else return;
    event.preventDefault();
  });
  for (const [name, pane] of Object.entries(viewer.panes)) listenToPointer(viewer, name, pane);
}

function listenToPointer(viewer, name, pane) {
  const { state } = viewer, { canvas } = pane;
  let start = null, rolled = 0;
  const follow = (event, settled) => viewer.place(pane.pointAt(event, state), settled);
  canvas.addEventListener("pointerdown", (event) => {
    if (!state.volumes) return;
    canvas.setPointerCapture(event.pointerId);
    start = { x: event.clientX, y: event.clientY, ...state, window: event.shiftKey || event.button === 2 };
    if (name !== "mip" && !start.window) follow(event, false);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [right, down] = [event.clientX - start.x, event.clientY - start.y];
    const turn = start.angle - Math.round(right / TURN_PX);
    if (start.window) dragWindow(viewer, name, start, right, down);
    else if (name === "mip") viewer.set({ angle: ((turn % TURN) + TURN) % TURN });
    else follow(event, false);
  });
  canvas.addEventListener("pointerup", (event) => {
    const still = start && Math.hypot(event.clientX - start.x, event.clientY - start.y) < CLICK_PX;
    if (start && !start.window && (still || name !== "mip")) follow(event, true);
    start = null;
  });
  canvas.addEventListener("pointercancel", () => { start = null; });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  // A notch of a wheel is one slice; a touch pad sends many small ones.
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    rolled += event.deltaY * (event.deltaMode ? LINE_PX : 1);
    if (!state.volumes || Math.abs(rolled) < NOTCH_PX) return;
    scroll(viewer, name, -Math.sign(rolled));
    rolled = 0;
  }, { passive: false });
}

// Down widens the window; on CT, across moves its level.
function dragWindow(viewer, name, start, right, down) {
  const ct = [start.ct[0] + 2 * right, Math.max(10, start.ct[1] + 4 * down)];
  const top = Number((start.top * Math.exp(down / 150)).toPrecision(3));
  viewer.set(name !== "mip" && start.mode === "ct" ? { ct } : { top });
}
