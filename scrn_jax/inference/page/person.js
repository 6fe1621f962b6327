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

  // The picture on a canvas, under its regions as strongly as `strength` says, 0 to 1.
  draw(canvas, colours, strength) {
    canvas.width = this.width;
    canvas.height = this.height;
    const pixels = new ImageData(this.width, this.height);
    for (let at = 0; at < this.regions.length; at += 1) {
      const region = this.regions[at];
      const share = region ? strength : 0;
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
