// The rotating projection: for each of its pixels the server sent which voxel it shows.
const NAMED_AT_MOST = 60;

class Mip extends Pane {
  constructor(canvas) {
    super(canvas);
    this.shadows = new Map();
  }

  forget() { this.shadows.clear(); }

  // Angles of the second half turn are mirror images of the first half.
  viewOf(angle, { columns, angles }) {
    const mirrored = angle >= angles;
    return { angle: angle % angles, column: mirrored ? (column) => columns - 1 - column : (column) => column };
  }

  draw(state) {
    const { volumes, angle, colours } = state, { columns } = volumes.meta.rotation, rows = volumes.nz;
    const view = this.viewOf(angle, volumes.meta.rotation);
    this.fit(columns, rows, volumes.meta.rotation.edge_mm, volumes.meta.spacing_mm[2]);
    for (let row = 0, cell = 0; row < rows; row++) {
      const z = rows - 1 - row, line = (view.angle * rows + z) * columns, level = z * volumes.plane;
      for (let column = 0; column < columns; column++, cell++) {
        const number = volumes.rotation[line + view.column(column)];
        this.pixels[cell] = colours.inverted[number ? volumes.pet[number + level] : 0];
      }
    }
    this.halo = "#ffffff";
    this.paint("#ffffff");
    if (state.outlines) this.drawLesions(state);
    this.crosshair([this.columnOf(state.point, state), rows - 1 - state.point[2]], "#0369a1");
    this.letters(this.sides(angle * 10), "#111111");
  }

  sides(degrees) {
    const [x, y] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
    const name = (sign) => (Math.abs(y) > 0.4 ? (y * sign > 0 ? "A" : "P") : "") + (Math.abs(x) > 0.4 ? (x * sign > 0 ? "L" : "R") : "");
    return { left: name(-1), right: name(1), top: "S", bottom: "I" };
  }

  columnOf([x, y], { volumes, angle }) {
    const { spacing_mm: edge, rotation } = volumes.meta, turn = (angle * 10 * Math.PI) / 180;
    const across = (x - (volumes.nx - 1) / 2) * edge[0] * Math.cos(turn) + (y - (volumes.ny - 1) / 2) * edge[1] * Math.sin(turn);
    return Math.floor(across / rotation.edge_mm + rotation.columns / 2 + (angle < rotation.angles ? 1e-9 : -1e-9));
  }

  // Which lesion's hottest voxel each pixel would show if nothing else were there; kept for every angle.
  shadow(state) {
    const { volumes, angle } = state;
    if (this.shadows.has(angle)) return this.shadows.get(angle);
    const { columns } = volumes.meta.rotation, voxels = new Int32Array(columns * volumes.nz).fill(-1);
    for (const at of volumes.marked) {
      const level = at % volumes.plane, x = level % volumes.nx, y = (level - x) / volumes.nx, z = (at - level) / volumes.plane;
      const cell = (volumes.nz - 1 - z) * columns + this.columnOf([x, y], state);
      if (voxels[cell] < 0 || volumes.pet[at] > volumes.pet[voxels[cell]]) voxels[cell] = at;
    }
    const found = { voxels, paths: this.paths(voxels, state) };
    this.shadows.set(angle, found);
    return found;
  }

  paths(voxels, { volumes }) {
    const { columns } = volumes.meta.rotation, boxes = new Map(), paths = new Map();
    voxels.forEach((at, cell) => {
      if (at < 0) return;
      const place = [cell % columns, Math.floor(cell / columns)], number = volumes.lesions[at];
      const box = boxes.get(number) || place.map((one) => [one, one]);
      boxes.set(number, box.map(([low, high], side) => [Math.min(low, place[side]), Math.max(high, place[side])]));
    });
    for (const [number, box] of boxes) {
      const inside = (column, row) => {
        const at = column >= 0 && column < columns && row >= 0 && row < volumes.nz ? voxels[row * columns + column] : -1;
        return at >= 0 && volumes.lesions[at] === number;
      };
      paths.set(number, edges(inside, ...box));
    }
    return paths;
  }

  drawLesions(state) {
    const { paths } = this.shadow(state), named = state.lesions.length <= NAMED_AT_MOST;
    for (const lesion of state.lesions) {
      const edge = lesion.hidden ? null : paths.get(lesion.value);
      const selected = lesion.id === state.selected;
      if (edge) this.outline(edge, lesion, selected, named || selected);
    }
  }

  // Inside an outline the lesion is meant, though something hotter lie before it; elsewhere what is seen.
  pointAt(event, state) {
    const cell = this.cellAt(event), { volumes } = state;
    if (!cell) return null;
    const [column, row] = cell, { columns } = volumes.meta.rotation, z = volumes.nz - 1 - row;
    const marked = state.outlines ? this.shadow(state).voxels[row * columns + column] : -1;
    const hidden = marked >= 0 && state.lesions.some((one) => one.value === volumes.lesions[marked] && one.hidden);
    const view = this.viewOf(state.angle, volumes.meta.rotation);
    const number = marked >= 0 && !hidden ? marked % volumes.plane
      : volumes.rotation[(view.angle * volumes.nz + z) * columns + view.column(column)];
    return number ? [number % volumes.nx, Math.floor(number / volumes.nx), z] : null;
  }
}
