// A skeleton over a stage, whose joints are dragged, or moved by keys.
//
// The joints are dots; one button lies over the current one and takes the focus. Eighteen buttons would be eighteen
// stops of the Tab key, and those of a face lie closer together than a button may be small.

const SVG = "http://www.w3.org/2000/svg";
const FACE = new Set([0, 14, 15, 16, 17]);
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const REACH = 26; // pixels of the screen from a joint in which a press takes it

export const isThere = ([y, x]) => y > -1 && x > -1;

function line(limb, index, count, joints, width) {
  const [a, b] = limb.map((joint) => joints[joint]);
  const element = document.createElementNS(SVG, "line");
  const places = { x1: a[1], y1: a[0], x2: b[1], y2: b[0] };
  Object.entries(places).forEach(([name, value]) => element.setAttribute(name, value));
  element.setAttribute("stroke", `hsl(${(index / count) * 306} 85% 62%)`);
  element.setAttribute("stroke-width", width);
  return element;
}

// The limbs of a pose as an SVG of a frame (height, width).
export function picture(joints, limbs, [height, width], thickness = height / 52) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `-0.5 -0.5 ${width} ${height}`);
  svg.setAttribute("class", "limbs");
  svg.setAttribute("aria-hidden", "true");
  limbs.forEach((limb, index) => {
    if (limb.every((joint) => isThere(joints[joint]))) svg.append(line(limb, index, limbs.length, joints, thickness));
  });
  return svg;
}

export class Skeleton {
  // `changed` is called after every move; `say` with what a screen reader should say of a joint moved by keys.
  constructor(stage, { size, names, limbs, what, changed, say }) {
    Object.assign(this, { stage, size, names, limbs, what, changed, say });
    this.joints = null;
    this.enabled = true;
    this.held = -1;
    this.svg = null;
    this.current = 4;
    this.dots = names.map((name, index) => this.dot(name, index));
    this.handle = Object.assign(document.createElement("button"), { type: "button", className: "handle" });
    this.handle.addEventListener("keydown", (event) => this.key(event));
    stage.addEventListener("pointerdown", (event) => this.press(event));
    stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => this.release());
    stage.addEventListener("dblclick", (event) => this.doublePress(event));
  }

  dot(name, index) {
    const dot = document.createElement("span");
    dot.className = FACE.has(index) ? "joint small" : "joint";
    dot.dataset.joint = name;
    return dot;
  }

  show(joints) {
    this.joints = joints;
    this.draw();
  }

  setEnabled(enabled) {
    this.enabled = enabled;
    this.draw();
  }

  draw() {
    if (this.svg) this.svg.remove();
    if (!this.joints) return;
    const [height, width] = this.size;
    this.svg = picture(this.joints, this.limbs, this.size, height / 64);
    this.svg.style.pointerEvents = "none";
    this.stage.append(this.svg);
    const shown = this.joints.map((joint) => this.enabled && isThere(joint));
    this.dots.forEach((dot, index) => {
      if (!shown[index]) return dot.remove();
      this.put(dot, this.joints[index]);
      return undefined;
    });
    if (this.enabled && !shown[this.current]) this.current = shown.indexOf(true);
    if (!this.enabled) return this.handle.remove();
    const [y, x] = this.joints[this.current];
    this.put(this.handle, [y, x]);
    const label = `${this.names[this.current]} of the ${this.what}: column ${Math.round(x)}, row ${Math.round(y)}`;
    this.handle.setAttribute("aria-label", label);
    return undefined;
  }

  // Taken out and put back, an element would lose the focus.
  put(element, [y, x]) {
    element.style.left = `${((x + 0.5) / this.size[1]) * 100}%`;
    element.style.top = `${((y + 0.5) / this.size[0]) * 100}%`;
    if (element.parentNode !== this.stage) this.stage.append(element);
  }

  choose(index) {
    this.current = index;
    this.draw();
    this.handle.focus({ preventScroll: true });
  }

  // The next joint that is there, or with -1 the one before.
  go(step) {
    let index = this.current;
    do index = (index + step + this.names.length) % this.names.length; while (!isThere(this.joints[index]));
    this.choose(index);
    this.say(`${this.names[index]}, ${this.what}`);
  }

  missing() {
    return this.names.map((name, index) => [name, index]).filter(([, index]) => !isThere(this.joints[index]));
  }

  // A joint that is not there, put beside one that it hangs on, or in the middle.
  add(index) {
    const limb = this.limbs.find((each) => each.includes(index) && each.some((joint) => isThere(this.joints[joint])));
    const anchor = limb && this.joints[limb.find((joint) => isThere(this.joints[joint]))];
    const [height, width] = this.size;
    this.move(index, anchor ? [anchor[0] + height / 14, anchor[1] + ((index % 2 ? 1 : -1) * height) / 26] : [height / 2, width / 2]);
    this.choose(index);
  }

  move(index, [y, x]) {
    const [height, width] = this.size;
    this.joints[index] = [Math.min(height - 1, Math.max(0, y)), Math.min(width - 1, Math.max(0, x))];
    this.draw();
    this.changed();
  }

  remove(index) {
    if (this.joints.filter(isThere).length <= 4) return this.say("A pose needs four joints.");
    this.joints[index] = [-1, -1];
    this.draw();
    this.changed();
    return this.say(`${this.names[index]} removed`);
  }

  place(event) {
    const box = this.stage.getBoundingClientRect();
    const [height, width] = this.size;
    return [((event.clientY - box.top) / box.height) * height - 0.5, ((event.clientX - box.left) / box.width) * width - 0.5];
  }

  nearest(event) {
    const box = this.stage.getBoundingClientRect();
    const unit = box.width / this.size[1];
    const [y, x] = this.place(event);
    let best = -1;
    let distance = REACH;
    this.joints.forEach((joint, index) => {
      const far = Math.hypot(joint[0] - y, joint[1] - x) * unit;
      if (isThere(joint) && far < distance) [best, distance] = [index, far];
    });
    return best;
  }

  press(event) {
    if (!this.joints || !this.enabled || event.button > 0 || event.target.closest(".drop")) return;
    this.held = this.nearest(event);
    if (this.held < 0) return;
    event.preventDefault();
    this.stage.setPointerCapture(event.pointerId);
    this.choose(this.held);
    this.dots[this.held].classList.add("held");
  }

  drag(event) {
    if (this.held >= 0) this.move(this.held, this.place(event));
  }

  release() {
    if (this.held >= 0) this.dots[this.held].classList.remove("held");
    this.held = -1;
  }

  doublePress(event) {
    const index = this.joints && this.enabled ? this.nearest(event) : -1;
    if (index >= 0) this.remove(index);
  }

  key(event) {
    const index = this.current;
    const keys = { n: () => this.go(1), p: () => this.go(-1), Delete: () => this.remove(index), Backspace: () => this.remove(index) };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (STEPS[event.key]) {
      const far = Math.max(1, ((event.shiftKey ? 5 : 1) * this.size[0]) / 128);
      const [y, x] = this.joints[index];
      this.move(index, [y + STEPS[event.key][0] * far, x + STEPS[event.key][1] * far]);
      this.say(`${this.names[index]}: column ${Math.round(this.joints[index][1])}, row ${Math.round(this.joints[index][0])}`);
    } else if (keys[event.key]) {
      keys[event.key]();
    } else {
      return;
    }
    event.preventDefault();
  }
}
