// A study as typed arrays. x grows to the patient's left, y to anterior, z to superior, and x runs fastest.
const ARRAYS = { pet: Uint16Array, ct: Int16Array, lesions: Uint16Array, rotation: Uint16Array };

async function fetchPart(place, name, revision = 0) {
  const answer = await fetch(`${place}/${name}?revision=${revision}`, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(answer.status === 404 ? "this study is no longer open" : `HTTP ${answer.status}`);
  return name === "meta" ? answer.json() : new ARRAYS[name](await answer.arrayBuffer());
}

class Volumes {
  constructor(meta) {
    Object.assign(this, { meta, pet: null, ct: null, rotation: null });
    [this.nx, this.ny, this.nz] = meta.shape;
    this.plane = this.nx * this.ny;
    this.ranges = [...meta.crop, [0, this.nz]];
    this.setLesions(new Uint16Array(0));
  }

  at([x, y, z]) { return x + this.nx * y + this.plane * z; }
  uptake(point) { return this.pet[this.at(point)] * this.meta.step; }
  lesionAt(point) { return this.lesions[this.at(point)] || 0; }
  clamp(point) { return point.map((at, axis) => Math.min(Math.max(Math.round(at), 0), this.meta.shape[axis] - 1)); }

  // Everything outside the viewer counts voxels of the whole study, x growing to the patient's right.
  toStudy(point) {
    const { study_shape: whole, factor } = this.meta;
    const at = point.map((one, axis) => Math.min(one * factor[axis] + ((factor[axis] - 1) >> 1), whole[axis] - 1));
    return [whole[0] - 1 - at[0], at[1], at[2]];
  }
  fromStudy([x, y, z]) {
    const { study_shape: whole, factor } = this.meta;
    return this.clamp([whole[0] - 1 - x, y, z].map((one, axis) => Math.floor(one / factor[axis])));
  }
  mm(point) {
    const [x, y, z] = point;
    return this.meta.affine.slice(0, 3).map((row) => row[0] * x + row[1] * y + row[2] * z + row[3]);
  }

  setLesions(lesions) {
    this.lesions = lesions;
    this.marked = [];
    for (let at = 0; at < lesions.length; at++) if (lesions[at]) this.marked.push(at);
  }
}
