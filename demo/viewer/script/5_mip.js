// The rotating projection: for each of its pixels the server sent which voxel it shows.
const NAMED_AT_MOST = 60;
const TURN = 36;

class Mip extends Pane {
  // Outlines are worked out once for every angle, until the lesions change.
  shadows = new Map();

  // Returns the in-plane number of the voxel that a cell shows; angles of the second half turn are mirror images.
  shownAt({ volumes, angle }, column, row) {
    const { columns, angles } = volumes.meta.rotation, z = volumes.nz - 1 - row;
    const line = ((angle % angles) * volumes.nz + z) * columns;
    return volumes.rotation[line + (angle < angles ? column : columns - 1 - column)];
  }

  draw(state) {
    const { volumes, angle, point } = state, { rotation, spacing_mm: edges } = volumes.meta, rows = volumes.nz;
    this.fit(rotation.columns, rows, rotation.edge_mm, edges[2]);
    const kept = [volumes, angle, state.top];
    if (!this.kept || kept.some((one, at) => one !== this.kept[at])) this.project(state, rotation.columns, rows);
    this.kept = kept;
    this.paint(true);
    if (state.outlines) this.outlines(this.shadow(state).edges, state, state.lesions.length <= NAMED_AT_MOST);
    this.crosshair([this.columnOf(point, state), rows - 1 - point[2]]);
    const turn = (angle / TURN) * 2 * Math.PI;
    const named = (share, ends) => (Math.abs(share) > 0.4 ? ends[share > 0 ? 1 : 0] : "");
    const side = (to) => named(Math.sin(turn) * to, "PA") + named(Math.cos(turn) * to, "RL");
    this.letters([side(-1), side(1), "S", "I"]);
  }

  project(state, columns, rows) {
    for (let row = 0, cell = 0; row < rows; row++) {
      const level = (rows - 1 - row) * state.volumes.plane;
      for (let column = 0; column < columns; column++, cell++) {
        const number = this.shownAt(state, column, row);
        this.pixels[cell] = state.colours.inverted[number ? state.volumes.pet[number + level] : 0];
      }
    }
  }

  columnOf([x, y], { volumes, angle }) {
    const { spacing_mm: edges, rotation } = volumes.meta, turn = (angle / TURN) * 2 * Math.PI;
    const [left, front] = [(x - (volumes.nx - 1) / 2) * edges[0], (y - (volumes.ny - 1) / 2) * edges[1]];
    const across = (left * Math.cos(turn) + front * Math.sin(turn)) / rotation.edge_mm + rotation.columns / 2;
    return Math.floor(across + (angle < rotation.angles ? 1e-9 : -1e-9));
  }

  // Which lesion's hottest voxel each cell would show if nothing else were there.
  shadow(state) {
    const { volumes, angle } = state, { columns } = volumes.meta.rotation;
    if (!this.shadows.has(angle)) {
      const voxels = new Int32Array(columns * volumes.nz).fill(-1);
      for (const at of volumes.marked) {
        const level = at % volumes.plane, z = (at - level) / volumes.plane, x = level % volumes.nx;
        const cell = (volumes.nz - 1 - z) * columns + this.columnOf([x, (level - x) / volumes.nx], state);
        if (voxels[cell] < 0 || volumes.pet[at] > volumes.pet[voxels[cell]]) voxels[cell] = at;
      }
      const numbers = Uint16Array.from(voxels, (at) => (at < 0 ? 0 : volumes.lesions[at]));
      this.shadows.set(angle, { voxels, edges: edgesOf(numbers, columns) });
    }
    return this.shadows.get(angle);
  }

  // Inside an outline the lesion is meant, though something hotter lie before it; elsewhere what is seen.
  pointAt(event, state) {
    const cell = this.cellAt(event), { volumes } = state;
    if (!cell) return null;
    const marked = state.outlines ? this.shadow(state).voxels[cell[1] * volumes.meta.rotation.columns + cell[0]] : -1;
    const hidden = state.lesions.some((one) => one.hidden && one.value === volumes.lesions[marked]);
    const number = marked < 0 || hidden ? this.shownAt(state, ...cell) : marked % volumes.plane;
    return number ? [number % volumes.nx, Math.floor(number / volumes.nx), volumes.nz - 1 - cell[1]] : null;
  }
}
