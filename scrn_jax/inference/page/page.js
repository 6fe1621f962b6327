// The page: what is chosen and mended, and the picture that follows from it.

import { Clothes } from "./clothes.js";
import { Film } from "./film.js";
import { Painter, Swatches } from "./painter.js";
import { Person, download, openPose } from "./person.js";
import { get, latestOnly, send } from "./server.js";
import { Skeleton, picture } from "./skeleton.js";

const $ = (id) => document.getElementById(id);
const PICTURE = "The person of the photo in the pose beside it";
// `mine`: whether the pose is neither the photo's own nor one of the gallery.
const state = { model: null, photo: null, room: "1", person: null, target: null, mine: false, picture: null, ready: false };
let clothes;
let film;
let source;
let target;
let painter;

const say = (text) => { $("status").textContent = text; };

function fail(error) {
  $("problem").textContent = error.message;
  $("problem").hidden = false;
  say("");
}

// A handler whose error is said on the page, and whose success takes an older error away.
function said(work) {
  return async (...given) => {
    try {
      $("problem").hidden = true;
      await work(...given);
    } catch (error) {
      fail(error);
    }
  };
}

const colours = () => state.model.regions.map((region) => region.colour);

// ---- the photo

function drawSource() {
  const [fill, border] = painter.enabled ? [0.6, 0] : [0.05, 0.7];
  state.person.draw($("source").querySelector("canvas"), colours(), fill, border);
  painter.drawCursor();
}

const takePhoto = said(async (blob) => {
  if (!blob) return;
  if (!state.ready) throw new Error("the page is still getting ready; try again in a moment");
  if (blob.size > state.model.photo_bytes) throw new Error(`the photo is larger than ${state.model.photo_bytes >> 20} MB; make it smaller`);
  say("Looking for the person …");
  $("source").classList.add("busy");
  const room = blob === state.photo ? $("room").value : "1";
  try {
    const answer = await (await send(`person?room=${room}`, blob)).json();
    state.person = new Person(answer, state.model.size, state.model.times);
    Object.assign(state, { photo: blob, room });
  } finally {
    $("source").classList.remove("busy");
    $("room").value = state.room; // that of the person who is shown
  }
  $("drop").hidden = true;
  $("photo-tools").hidden = false;
  painter.setPerson(state.person);
  source.show(state.person.joints);
  const chosen = [...$("gallery").children].findIndex((button) => button.getAttribute("aria-pressed") === "true");
  const lost = [];
  const [mine] = await fitted(state.mine ? [state.target] : [], lost);
  film.keys = await fitted(film.keys, lost);
  film.showKeys();
  setTarget(mine || structuredClone(state.person.joints), { mine: Boolean(mine) });
  drawSource();
  $("notes").replaceChildren(...[...state.person.notes, ...lost].map((note) => Object.assign(document.createElement("li"), { textContent: note })));
  for (const id of ["mirror", "reset", "target-missing", "open-pose", "save-pose", "choose-style", "make-film"]) $(id).disabled = false;
  say("Joints and regions found. Choose a pose, or drag the skeleton.");
  listMissing();
  clothes.show();
  await fitGallery();
  if (chosen < 0) repaint();
  else $("gallery").children[chosen].click();
});

// Poses made for another frame or person, as this person has them. Without them, `lost` says why.
async function fitted(poses, lost) {
  if (!poses.length) return [];
  try {
    return (await (await send("fit", { onto: state.person.joints, file: { poses } })).json()).poses;
  } catch (error) {
    lost.push(`${poses.length === 1 ? "the pose is" : "the poses are"} not kept: ${error.message}`);
    return [];
  }
}

async function fitGallery() {
  const { poses, rooms, names } = await (await send("fit", { onto: state.person.joints })).json();
  showGallery(names.map((name, index) => ({ name, joints: poses[index], room: rooms[index] })));
}

function editRegions(regions) {
  $("edit-joints").setAttribute("aria-pressed", String(!regions));
  $("edit-regions").setAttribute("aria-pressed", String(regions));
  $("joint-tools").hidden = regions;
  $("region-tools").hidden = !regions;
  source.setEnabled(!regions);
  painter.setEnabled(regions);
  if (state.person) drawSource();
}

// ---- the pose

// `button` is that of the gallery's pose, if it is one.
function markPose(mine, button = null) {
  state.mine = mine;
  for (const each of $("gallery").children) each.setAttribute("aria-pressed", String(each === button));
}

function setTarget(joints, { mine = false, button = null } = {}) {
  state.target = joints;
  markPose(mine, button);
  $("target-empty").hidden = true;
  target.show(joints);
  listMissing();
}

function listMissing() {
  for (const [id, skeleton] of [["source-missing", source], ["target-missing", target]]) {
    const missing = skeleton.joints ? skeleton.missing() : [];
    $(id).replaceChildren(new Option(missing.length ? `add one of ${missing.length} …` : "none", ""), ...missing.map(([name, index]) => new Option(name, index)));
    $(id).disabled = !missing.length;
  }
}

function addMissing(id, skeleton) {
  $(id).onchange = () => {
    if ($(id).value === "") return;
    skeleton.add(Number($(id).value));
    listMissing();
  };
}

function mirrored(joints) {
  const [, width] = state.model.size;
  return state.model.mirror.map((joint) => {
    const [y, x] = joints[joint];
    return y > -1 && x > -1 ? [y, width - 1 - x] : [-1, -1];
  });
}

function showGallery(poses) {
  const [height, width] = state.model.size;
  $("gallery").replaceChildren(...poses.map(({ name, joints, room }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    const label = document.createElement("span");
    label.textContent = name.replaceAll("-", " ");
    button.append(picture(joints, state.model.limbs, [height, width], height / 26), label);
    button.onclick = said(async () => {
      if (!state.person) throw new Error("choose a photo first, or try the example");
      setTarget(structuredClone(joints), { button });
      say(`Pose: ${label.textContent}${room > 1 ? ". Its arms leave the frame: give the photo more room for arms" : ""}`);
      repaint();
    });
    return button;
  }));
}

const openPoseFile = said(async (file) => {
  if (!file) return;
  let found;
  if (file.type.startsWith("image/")) {
    say("Looking for the pose …");
    const other = await (await send("person", file)).json();
    found = { joints: other.joints };
  } else {
    if (file.size > 200000) throw new Error("the pose file is larger than 200 kB; give one pose");
    try {
      found = JSON.parse(await file.text());
    } catch {
      throw new Error(`${file.name}: not JSON; give OpenPose's JSON, or 18 pairs [y, x]`);
    }
  }
  const { poses } = await (await send("fit", { onto: state.person.joints, file: found })).json();
  setTarget(poses[0], { mine: true });
  say("Pose opened.");
  repaint();
});

// ---- the picture

function showResult(blob, isClip, text) {
  $("result-empty").hidden = true;
  $("picture").hidden = isClip;
  $("clip").hidden = !isClip;
  const shown = isClip ? $("clip") : $("picture");
  if (shown.src) URL.revokeObjectURL(shown.src);
  shown.src = URL.createObjectURL(blob);
  if (!isClip) $("picture").alt = text;
  $("to-picture").hidden = text === PICTURE;
}

// Who is painted, as requests say it.
const request = () => ({ ...state.person.packed(), large: state.person.large, style: clothes.request() });

const repaint = latestOnly(said(async () => {
  if (!state.person) return;
  $("result").classList.add("busy");
  const started = performance.now();
  try {
    state.picture = await (await send("paint", { ...request(), target: state.target })).blob();
  } finally {
    $("result").classList.remove("busy");
  }
  showResult(state.picture, false, PICTURE);
  $("took").textContent = `${((performance.now() - started) / 1000).toFixed(2)} s`;
  $("result").dataset.painted = String(Number($("result").dataset.painted || 0) + 1);
  $("save-picture").disabled = false;
}));

// ---- wires

function takeFiles(button, input, take) {
  $(button).onclick = () => $(input).click();
  $(input).onchange = () => {
    take($(input).files[0]);
    $(input).value = "";
  };
}

function wireDrop() {
  const stage = $("source");
  for (const name of ["dragover", "dragenter"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      stage.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => stage.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const take = state.person && event.target.closest?.(".clothes") ? clothes.take : takePhoto;
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) takePhoto(event.clipboardData.files[0]);
  });
}

function wire() {
  takeFiles("choose", "file", takePhoto);
  $("another").onclick = () => $("file").click();
  $("room").onchange = () => takePhoto(state.photo);
  $("example").onclick = said(async () => takePhoto(await (await fetch("example.jpg")).blob()));
  takeFiles("open-pose", "pose-file", openPoseFile);
  takeFiles("choose-style", "style-file", clothes.take);
  wireDrop();
  $("edit-joints").onclick = () => editRegions(false);
  $("edit-regions").onclick = () => editRegions(true);
  $("brush").oninput = () => { painter.brush = Number($("brush").value); };
  $("undo").onclick = () => painter.undo();
  addMissing("source-missing", source);
  addMissing("target-missing", target);
  $("mirror").onclick = () => { setTarget(mirrored(state.target), { mine: true }); repaint(); };
  $("reset").onclick = () => { setTarget(structuredClone(state.person.joints)); repaint(); };
  $("save-pose").onclick = () => download(new Blob([openPose(state.target)], { type: "application/json" }), "pose_keypoints.json");
  $("save-picture").onclick = () => download(state.picture, "picture.png");
  $("to-picture").onclick = () => showResult(state.picture, false, PICTURE);
}

async function waitUntilReady() {
  for (;;) {
    const { ready, error } = await get("ready");
    if (error) throw new Error(error);
    if (ready) return;
    say("Getting ready: the model is compiled, which takes up to a minute the first time …");
    await new Promise((resolve) => { setTimeout(resolve, 400); });
  }
}

const start = said(async () => {
  const model = await get("model");
  state.model = model;
  const [height, width] = model.size;
  document.documentElement.style.setProperty("--aspect", `${width} / ${height}`);
  const shared = { size: model.size, names: model.joints, limbs: model.limbs, say };
  source = new Skeleton($("source"), { ...shared, what: "photo", changed: () => { listMissing(); repaint(); } });
  target = new Skeleton($("target"), { ...shared, what: "pose", changed: () => { markPose(true); listMissing(); repaint(); } });
  painter = new Painter($("source").querySelector("canvas"), {
    say,
    changed: drawSource,
    done: () => { $("undo").disabled = !painter.before.length; repaint(); },
  });
  new Swatches($("swatches"), model.regions, painter);
  listMissing();
  const scaled = model.gallery.map(({ name, joints }) => ({ name, joints: joints.map(([y, x]) => (y < 0 ? [-1, -1] : [y * height, x * height])) }));
  showGallery(scaled);
  const tell = { page: state, say, said };
  clothes = new Clothes({ ...tell, changed: repaint });
  film = new Film({ ...tell, request, show: (blob, isClip) => showResult(blob, isClip, "The film of the person") });
  wire();
  await waitUntilReady();
  state.ready = true;
  document.body.dataset.ready = "yes";
  say("Ready. Drop a photo, choose one, or try the example.");
});

start();
