// A person in the model's frame: picture, regions and joints, and what is drawn of them.

import { bytesOf, textOf } from "./server.js";

export class Person {
  constructor(answer, [height, width]) {
    this.height = height;
    this.width = width;
    this.image = bytesOf(answer.image);
    this.regions = bytesOf(answer.regions);
    this.joints = answer.joints;
    this.notes = answer.notes;
    // The regions under a mended map may be wanted back.
    this.found = this.regions.slice();
  }

  // As requests carry it.
  packed() {
    return { image: textOf(this.image), regions: textOf(this.regions), joints: this.joints };
  }

  shown() {
    return [...new Set(this.regions)].filter((region) => region > 0).sort();
  }

  // Whether a pixel's neighbour to the right or below belongs to another region: the border that is drawn.
  isBorder(at) {
    const right = (at + 1) % this.width ? this.regions[at + 1] : this.regions[at];
    const below = at + this.width < this.regions.length ? this.regions[at + this.width] : this.regions[at];
    return right !== this.regions[at] || below !== this.regions[at];
  }

  // The picture on a canvas; its regions filled as strongly as `fill` says, 0 to 1, their borders as `border` does.
  draw(canvas, colours, fill, border) {
    canvas.width = this.width;
    canvas.height = this.height;
    const pixels = new ImageData(this.width, this.height);
    for (let at = 0; at < this.regions.length; at += 1) {
      const region = this.regions[at];
      let share = region ? fill : 0;
      if (region && border > fill && this.isBorder(at)) share = border;
      for (let c = 0; c < 3; c += 1) pixels.data[4 * at + c] = (1 - share) * this.image[3 * at + c] + share * colours[region][c];
      pixels.data[4 * at + 3] = 255;
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }
}

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// OpenPose's JSON: x, y, confidence of 18 joints.
export function openPose(joints) {
  const flat = joints.flatMap(([y, x]) => (y > -1 && x > -1 ? [x, y, 1] : [0, 0, 0]));
  return JSON.stringify({ version: 1.3, people: [{ pose_keypoints_2d: flat }] });
}
