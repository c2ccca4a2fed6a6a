// SPDX-License-Identifier: Apache-2.0
"use strict";
// The page: a form that makes films, and the films.  It speaks the same /v1/videos
// interface as everybody else; docs/server.md.  Addresses are relative: a proxy may
// have the page below any path.

const $ = (id) => document.getElementById(id);
const PAGE = 24;                        // films of one page of the list
const UNDO_MS = 7000;
const CHECK_MS = 500;                   // from the last key to asking what the film will lack
// Scenes that a small model knows, too.
const IDEAS = [
  "A large red metal ball falls onto the grey floor and bounces.",
  "A green wooden cube drops onto a beige floor in front of a white wall.",
  "A bouncy yellow rubber ball falls on the brown floor.",
];

const cards = new Map();                // id -> {node, video, ...}
const doomed = new Map();               // id -> timer of a deletion to come
let model = null;
let picture = null;                     // File of the first frame
let stream = null;                      // {id, source} of the one event stream
let pollTimer = 0;
let oldest = null;                      // id where "older films" go on
let busyUntil = 0;                      // a full queue: when to try again
let checkTimer = 0;
let checks = 0;                         // that were asked for: only the last one counts

// --- requests -----------------------------------------------------------------------

class Refusal extends Error {
  constructor(status, error, retryAfter) {
    super(error.message);
    this.status = status;
    this.param = error.param;
    this.code = error.code;
    this.retryAfter = retryAfter;
  }
}

// Seeds beyond 2^53 stay exact: they are kept as text.
function readJson(text) {
  return JSON.parse(text.replace(/(?<!\\)"seed":\s*(\d{16,})/g, '"seed":"$1"'));
}

async function request(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    setOffline(true);
    throw error;
  }
  setOffline(false);
  if (reply.ok) return readJson(await reply.text());
  const body = await reply.json().catch(() => ({}));
  if (reply.status === 401) askForKey();
  throw new Refusal(reply.status, body.error || { message: `The server says ${reply.status}.` },
    Number(reply.headers.get("retry-after")) || 0);
}

function setOffline(offline) {
  const banner = $("offline");
  if (banner.hidden === !offline) return;
  banner.hidden = !offline;
  if (offline) say("The server cannot be reached.");
}

// --- small things ----------------------------------------------------------------------

function say(text) {
  $("spoken").textContent = text;
}

function toast(text, action, undo) {
  const node = document.createElement("div");
  node.className = "toast";
  const words = document.createElement("span");
  words.textContent = text;
  node.append(words);
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = action;
    button.addEventListener("click", () => { node.remove(); undo(); });
    node.append(button);
  }
  $("toasts").append(node);
  setTimeout(() => node.remove(), action ? UNDO_MS : 3500);
}

function timeText(seconds) {
  if (seconds < 1.5) return "a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.round(seconds / 3600);
  return `${Math.floor(hours / 24)} ${hours < 48 ? "day" : "days"} ${hours % 24} h`;
}

// Sentences as a list, which is hidden when there are none.
function note(list, sentences) {
  list.replaceChildren(...sentences.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
  list.hidden = sentences.length === 0;
}

const STAGES = {
  "text": "Reading your words",
  "image": "Looking at the picture",
  "latents": "Getting ready",
  "decode audio": "Making the sound audible",
  "decode video": "Drawing the frames",
  "waiting": "Starting",
};

function stageText(video) {
  const name = STAGES[video.stage] || video.stage;
  if (video.stage === "denoise")
    return video.steps > 0 ? `Step ${video.step} of ${video.steps}` : "Setting up";
  return video.steps > 0 ? `${name}, ${video.step} of ${video.steps}` : name;
}

// --- cards -------------------------------------------------------------------------------

function makeCard(video) {
  const node = $("card").content.firstElementChild.cloneNode(true);
  const entry = { node, video: null, strip: null, shownFilm: false };
  node.dataset.id = video.id;
  node.addEventListener("click", (event) => {
    const target = event.target.closest("[data-do]");
    if (target) act(entry, target.dataset.do, target);
  });
  const [width, height] = video.size.split("x").map(Number);
  const ratio = Math.max(width / height, 1);
  node.style.setProperty("--shape", String(ratio));
  node.querySelector(".words").textContent = video.prompt || "";
  node.querySelector(".words").title = video.prompt || "";
  node.querySelector("progress").setAttribute("aria-label", "Progress of the film");
  showRewriting(node, video);
  cards.set(video.id, entry);
  return entry;
}

// The prompt that a chat model has made, or why it has not, beside the user's own words.
function showRewriting(node, video) {
  const kept = video.rewrite_error ? [`Made from your own words: ${video.rewrite_error}.`] : [];
  note(node.querySelector(".notes"), [...kept, ...video.warnings]);
  node.querySelector(".rewritten").hidden = !video.rewritten_prompt;
  node.querySelector(".rewritten-words").textContent = video.rewritten_prompt || "";
}

function facts(video) {
  const s = video.settings;
  const parts = [video.size.replace("x", " × "), `${video.seconds} s`,
    s.num_inference_steps === 1 ? "1 step" : `${s.num_inference_steps} steps`, `seed ${s.seed}`];
  if (!s.generate_sound) parts.push("silent");
  if (video.status === "completed" && video.inference_time_s)
    parts.push(`made in ${timeText(video.inference_time_s)}`);
  // A fact stays on one line.
  return parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" · ");
}

// Says how long the server keeps the film; nothing where films stay for ever.
function keptText(video) {
  if (video.starred) return "Kept until you delete it";
  if (!video.expires_at) return "";
  const when = new Date(video.expires_at * 1000);
  return `Kept until ${when.toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`;
}

function showKept(entry) {
  const { video, node } = entry;
  const text = keptText(video);
  node.querySelector(".kept").textContent = text;
  node.querySelector(".kept").hidden = !text;
  node.querySelector("[data-do=star]").setAttribute("aria-pressed", String(video.starred));
}

function showFilm(entry) {
  const film = entry.node.querySelector("video");
  const path = `v1/videos/${entry.video.id}/content`;
  film.poster = `${path}?variant=thumbnail`;
  film.src = path;
  film.preload = "metadata";
  film.hidden = false;
  film.setAttribute("aria-label", entry.video.prompt || "Film");
  const link = entry.node.querySelector("[data-do=download]");
  link.href = path;
  link.download = `phonofilm-${entry.video.settings.seed}.${entry.video.settings.format}`;
  entry.shownFilm = true;
}

function nowText(video) {
  if (video.status === "queued")
    return video.queue_position > 1 ? `Number ${video.queue_position} in the queue` : "Next in the queue";
  const left = video.seconds_left === null || video.seconds_left === undefined
    ? "" : ` · about ${timeText(video.seconds_left)} left`;
  return stageText(video) + left;
}

function update(video) {
  if (doomed.has(video.id)) return;
  let entry = cards.get(video.id);
  const isNew = !entry;
  if (isNew) entry = makeCard(video);
  const before = entry.video;
  entry.video = video;
  const { node } = entry;
  const going = video.status === "queued" || video.status === "in_progress";
  const done = video.status === "completed";
  node.classList.toggle("waiting", video.status === "queued");
  node.querySelector(".going").hidden = !going;
  node.querySelector(".facts").textContent = facts(video);
  if (going) {
    node.querySelector("progress").value = video.progress;
    node.querySelector(".now").textContent = nowText(video);
  }
  node.querySelector(".state").textContent =
    video.status === "queued" ? "Waiting" : going && !entry.strip ? "Developing…" : "";
  const alert = node.querySelector(".alert");
  const failed = video.status === "failed";
  const cancelled = failed && video.error.code === "cancelled";
  node.classList.toggle("ended", failed);
  node.classList.toggle("developing", video.status === "in_progress");
  alert.hidden = !failed || cancelled;
  if (failed) {
    alert.textContent = video.error.message;
    node.querySelector(".state").textContent = cancelled ? "Cancelled" : "Failed";
  }
  showKept(entry);
  if (!going) showStrip(entry, null);
  if (done && !entry.shownFilm) showFilm(entry);
  for (const [name, wanted] of [["cancel", going], ["download", done], ["star", done],
    ["loop", done], ["again", !going], ["copy", true], ["delete", !going]])
    node.querySelector(`[data-do=${name}]`).hidden = !wanted;
  if (before && before.status !== video.status) announce(video);
  return isNew ? entry : null;
}

function announce(video) {
  const words = (video.prompt || "").slice(0, 60);
  const text = { completed: "The film is ready", failed: "The film failed", in_progress: "The film is being made" };
  if (text[video.status]) say(`${text[video.status]}: ${words}`);
}

function place(entry, atTop) {
  if (atTop) {
    entry.node.classList.add("new");
    $("gallery").prepend(entry.node);
  } else {
    $("gallery").append(entry.node);
  }
}

function showEmpty() {
  $("empty").hidden = $("gallery").children.length > 0;
}

function removeCard(id) {
  const entry = cards.get(id);
  if (!entry) return;
  showStrip(entry, null);
  entry.node.remove();
  cards.delete(id);
  showEmpty();
}

// --- previews -------------------------------------------------------------------------------

// A strip of small pictures, shown one after another.
function showStrip(entry, preview) {
  const node = entry.node.querySelector(".strip");
  node.hidden = !preview;
  if (!preview) {
    clearInterval(entry.timer);
    entry.strip = null;
    return;
  }
  node.style.backgroundImage = `url("${preview.image}")`;
  node.style.backgroundSize = `${preview.frames * 100}% 100%`;
  if (entry.strip) {
    entry.strip.frames = preview.frames;
    return;
  }
  entry.strip = { frames: preview.frames, at: 0 };
  entry.node.querySelector(".state").textContent = "";
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  entry.timer = setInterval(() => {
    const { frames } = entry.strip;
    entry.strip.at = (entry.strip.at + 1) % frames;
    node.style.backgroundPosition = frames > 1 ? `${entry.strip.at * 100 / (frames - 1)}% 0` : "0 0";
  }, 350);
}

// --- following what happens --------------------------------------------------------------------

function closeStream() {
  if (stream) stream.source.close();
  stream = null;
}

// One stream for the film that is being made: browsers open few connections.
function follow() {
  const running = [...cards.values()].map((c) => c.video).find((v) => v.status === "in_progress");
  if (!running) closeStream();
  // A reply that is no stream (a proxy's, perhaps) ends the stream for good.
  const lives = stream && stream.source.readyState !== EventSource.CLOSED;
  if (!running || (lives && stream.id === running.id)) return;
  closeStream();
  const source = new EventSource(`v1/videos/${running.id}/events`);
  stream = { id: running.id, source };
  source.addEventListener("status", (event) => {
    const video = readJson(event.data);
    setOffline(false);
    update(video);
    if (video.status === "completed" || video.status === "failed") {
      closeStream();
      refresh();
    }
  });
  source.addEventListener("preview", (event) => {
    const entry = cards.get(running.id);
    if (entry) showStrip(entry, JSON.parse(event.data));
  });
  source.addEventListener("deleted", () => { closeStream(); removeCard(running.id); });
}

// Brings the cards up to date with the newest films, now and again and again.
async function refresh() {
  clearTimeout(pollTimer);
  let wait = 8000;
  try {
    const page = await request(`v1/videos?limit=${PAGE}`);
    merge(page);
    follow();
    const going = [...cards.values()].some((c) => c.video.status === "queued" || c.video.status === "in_progress");
    wait = going ? 2500 : 8000;
  } catch (error) {
    wait = error instanceof Refusal ? 10000 : 3000;
  }
  if (document.hidden) wait *= 4;
  pollTimer = setTimeout(refresh, wait);
}

function merge(page) {
  // More new films than a page holds: what lies between is unknown, so begin anew.
  const known = [...cards.keys()].filter((id) => !doomed.has(id));
  const gap = page.has_more && known.every((id) => id < page.last_id);
  if (gap) known.forEach(removeCard);
  const seen = new Set(page.data.map((v) => v.id));
  const fresh = page.data.map((v) => update(v)).filter(Boolean);
  const first = gap || cards.size === fresh.length;
  for (const entry of first ? fresh : fresh.reverse()) place(entry, !first);
  // Deleted elsewhere: cards within the range of this page that it does not list.
  const last = page.has_more ? page.last_id : "";
  for (const id of [...cards.keys()])
    if (!seen.has(id) && id > last && !doomed.has(id)) removeCard(id);
  if (first) {
    oldest = page.last_id;
    $("more").hidden = !page.has_more;
  }
  showEmpty();
}

async function showOlder() {
  const page = await request(`v1/videos?limit=${PAGE}&after=${oldest}`).catch(() => null);
  if (!page) return;
  for (const video of page.data) {
    const entry = update(video);
    if (entry) place(entry, false);
  }
  oldest = page.last_id || oldest;
  $("more").hidden = !page.has_more;
}

// --- what buttons do -----------------------------------------------------------------------------

async function act(entry, what, button) {
  const { video } = entry;
  if (what === "cancel") {
    button.disabled = true;
    await request(`v1/videos/${video.id}/cancel`, { method: "POST" }).catch(() => null);
    button.disabled = false;
    refresh();
  } else if (what === "star") {
    star(entry, button);
  } else if (what === "again") {
    again(video, button);
  } else if (what === "use") {
    useWords(video.rewritten_prompt);
  } else if (what === "copy") {
    copySettings(video);
  } else if (what === "loop") {
    const film = entry.node.querySelector("video");
    film.loop = !film.loop;
    button.setAttribute("aria-pressed", String(film.loop));
  } else if (what === "delete") {
    deleteLater(entry);
  }
}

async function star(entry, button) {
  button.disabled = true;
  try {
    update(await request(`v1/videos/${entry.video.id}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ starred: !entry.video.starred }),
    }));
    say(keptText(entry.video) || "The film is no longer kept");
  } catch (error) {
    toast(error instanceof Refusal ? error.message : "The server cannot be reached.");
  }
  button.disabled = false;
  button.focus();
}

async function again(video, button) {
  button.disabled = true;
  try {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0];
    const made = await request(`v1/videos/${video.id}/remix`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ prompt: video.prompt, seed }),
    });
    accept(made);
  } catch (error) {
    toast(error instanceof Refusal ? error.message : "The server cannot be reached.");
  }
  button.disabled = false;
}

// Puts a rewritten prompt into the form, where it can be changed.
function useWords(words) {
  $("prompt").value = words;
  $("rewrite").checked = false;
  $("prompt").focus();
  checkSoon();
}

async function copySettings(video) {
  const text = JSON.stringify(video.settings, null, 2);
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast("Settings copied.");
}

// Removes the card at once, and deletes the film after a time for changing one's mind.
function deleteLater(entry) {
  const { id } = entry.video;
  const after = entry.node.nextElementSibling;
  const film = entry.node.querySelector("video");
  film.pause();
  entry.node.remove();
  doomed.set(id, setTimeout(() => deleteNow(id), UNDO_MS));
  showEmpty();
  (after || $("gallery")).querySelector?.("button:not([hidden])")?.focus();
  toast("The film is deleted.", "Undo", () => {
    clearTimeout(doomed.get(id));
    if (!doomed.delete(id)) return;
    $("gallery").insertBefore(entry.node, after && after.isConnected ? after : null);
    showEmpty();
  });
}

function deleteNow(id, options = {}) {
  if (!doomed.has(id)) return;
  clearTimeout(doomed.get(id));
  request(`v1/videos/${id}`, { method: "DELETE", ...options })
    .catch((error) => {
      if (!(error instanceof Refusal && error.status === 404)) toast("The film could not be deleted.");
    })
    .finally(() => { doomed.delete(id); removeCard(id); refresh(); });
}

// --- the form ----------------------------------------------------------------------------------------

function choice(group, name, value, label, checked) {
  const node = document.createElement("label");
  const input = document.createElement("input");
  node.className = "choice";
  input.type = "radio";
  input.name = name;
  input.value = value;
  input.checked = checked;
  const span = document.createElement("span");
  span.append(...label);
  node.append(input, span);
  group.append(node);
}

function row(id) {
  const node = document.createElement("div");
  node.className = "choices";
  $(id).append(node);
  return node;
}

function shapeLabel(kind, text) {
  const icon = document.createElement("i");
  icon.className = kind;
  icon.setAttribute("aria-hidden", "true");
  return [icon, document.createTextNode(text)];
}

const shapeOf = (width, height) => (width > height ? "wide" : width < height ? "tall" : "square");

// The sizes that the model was made for.
function fillSizes(sizes) {
  const { width, height } = model.defaults;
  const group = row("shapes");
  const usual = sizes.includes(`${width}x${height}`) ? `${width}x${height}` : sizes[0];
  for (const size of sizes) {
    const kind = shapeOf(...size.split("x").map(Number));
    choice(group, "shape", size, shapeLabel(kind, size.replace("x", "×")), size === usual);
  }
}

function fillShapes() {
  if (model.made_for.sizes.length > 0) {
    fillSizes(model.made_for.sizes);
    return;
  }
  const { width, height } = model.defaults;
  const multiple = model.size_multiple;
  const long = Math.max(width, height), short = Math.min(width, height);
  const side = Math.max(multiple, Math.round(Math.sqrt(long * short) / multiple) * multiple);
  const group = row("shapes");
  if (long !== short)
    choice(group, "shape", `${long}x${short}`, shapeLabel("wide", "Wide"), width >= height);
  choice(group, "shape", `${side}x${side}`, shapeLabel("square", "Square"), long === short);
  if (long !== short)
    choice(group, "shape", `${short}x${long}`, shapeLabel("tall", "Tall"), height > width);
}

// Lengths that the model was made for; else a quarter, a half and all of its usual one.
function lengths() {
  const frames = model.defaults.num_frames;
  const multiple = model.frame_multiple;
  if (model.made_for.num_frames.length > 0)
    return [...model.made_for.num_frames].sort((a, b) => a - b);
  const counts = [0.25, 0.5, 1].map(
    (part) => Math.max(1, Math.round((frames - 1) * part / multiple)) * multiple + 1);
  return [...new Set(counts)].filter((count) => count <= frames);
}

function fillLengths() {
  const { num_frames: frames, fps } = model.defaults;
  const group = row("lengths");
  const counts = lengths();
  const usual = counts.includes(frames) ? frames : counts[0];
  for (const count of counts) {
    const seconds = document.createElement("b");
    const value = count / fps;
    seconds.textContent = value < 10 ? String(Math.round(value * 10) / 10) : String(Math.round(value));
    choice(group, "length", String(count), [seconds, document.createTextNode("sec")], count === usual);
  }
}

function fillForm() {
  const { defaults } = model;
  fillShapes();
  fillLengths();
  // Films of few pixels look better small, and more of them fit.
  if (Math.max(defaults.width, defaults.height) < 256) $("gallery").style.setProperty("--least", "256px");
  $("steps").max = String(Math.max(50, defaults.num_inference_steps));
  $("steps").value = String(defaults.num_inference_steps);
  $("guidance").max = String(Math.max(12, defaults.guidance_scale));
  $("guidance").value = String(defaults.guidance_scale);
  showOutputs();
  for (const id of ["rewrite-choice", "rewrite-help"]) $(id).hidden = !model.rewrites_prompts;
  $("model").textContent = model.id;
  $("model").title = `Model ${model.id}`;
  $("model").hidden = false;
  if (model.made_for.about)
    $("prompt-help").textContent = `This model was made for one world: ${model.made_for.about}`;
}

function showOutputs() {
  $("steps-shown").textContent = $("steps").value;
  $("guidance-shown").textContent = $("guidance").value;
}

// Place of the EXIF block in the bytes of a WebP, and the orientation in it.
function findExif(bytes) {
  const view = new DataView(bytes.buffer);
  const name = (at) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.length < 12 || name(0) !== "RIFF" || name(8) !== "WEBP") return null;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    if (name(at) === "EXIF") return { at, orientation: readOrientation(bytes.subarray(at + 8, at + 8 + size)) };
    at += 8 + size + (size & 1);
  }
  return null;
}

function readOrientation(block) {
  const start = block[0] === 0x45 ? 6 : 0;              // "Exif", 0, 0
  const view = new DataView(block.buffer, block.byteOffset + start, Math.max(0, block.length - start));
  try {
    const little = view.getUint16(0) === 0x4949;
    const at = view.getUint32(4, little);
    for (let i = 0; i < view.getUint16(at, little); i++) {
      const entry = at + 2 + 12 * i;
      if (view.getUint16(entry, little) === 0x0112) return view.getUint16(entry + 8, little);
    }
  } catch {
    // A block that ends early: upright.
  }
  return 1;
}

// Draws a WebP upright: browsers turn other pictures as their EXIF block says, and the
// server turns all of them.
async function upright(file) {
  if (!(file.type === "image/webp" || file.name?.toLowerCase().endsWith(".webp"))) return file;
  const bytes = new Uint8Array(await file.arrayBuffer());
  const exif = findExif(bytes);
  if (!exif || !(exif.orientation >= 2 && exif.orientation <= 8)) return file;
  bytes.set([0x78, 0x78, 0x78, 0x78], exif.at);         // no browser turns it once more
  const image = await createImageBitmap(new Blob([bytes], { type: "image/webp" }));
  const { width: w, height: h } = image;
  const turn = [[-1, 0, 0, 1, w, 0], [-1, 0, 0, -1, w, h], [1, 0, 0, -1, 0, h], [0, 1, 1, 0, 0, 0],
    [0, 1, -1, 0, h, 0], [0, -1, -1, 0, h, w], [0, -1, 1, 0, 0, w]][exif.orientation - 2];
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = exif.orientation > 4 ? [h, w] : [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(...turn);
  context.drawImage(image, 0, 0);
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(blob || file)));
}

async function showPicture(file) {
  const seen = await upright(file).catch(() => file);
  if (file !== picture) return;                         // another one was chosen meanwhile
  $("picture-shown").src = URL.createObjectURL(seen);
}

function setPicture(file) {
  const shown = $("picture-shown");
  if (shown.src) URL.revokeObjectURL(shown.src);
  picture = file || null;
  if (picture && picture.size > model.max_upload_bytes) {
    complain(`The picture has ${(picture.size / 1048576).toFixed(1)} MB; this server takes ` +
      `${(model.max_upload_bytes / 1048576).toFixed(0)} MB.`);
    picture = null;
  }
  if (picture) showPicture(picture);
  else shown.removeAttribute("src");
  shown.hidden = !picture;
  $("drop-empty").hidden = Boolean(picture);
  $("picture-remove").hidden = !picture;
  if (!picture) $("picture").value = "";
}

function complain(text, param) {
  const alert = $("composer-error");
  const fields = { prompt: "prompt", seed: "seed", negative_prompt: "negative", input_reference: "picture" };
  for (const id of Object.values(fields)) $(id).removeAttribute("aria-invalid");
  alert.hidden = !text;
  alert.textContent = text || "";
  const field = param && fields[param];
  if (!field) return;
  $(field).setAttribute("aria-invalid", "true");
  if (param === "seed" || param === "negative_prompt") $("advanced").open = true;
  $(field).focus();
}

function formFields() {
  const form = new FormData();
  const chosen = (name) => document.querySelector(`input[name=${name}]:checked`).value;
  form.append("prompt", $("prompt").value.trim());
  form.append("size", chosen("shape"));
  form.append("num_frames", chosen("length"));
  form.append("num_inference_steps", $("steps").value);
  form.append("guidance_scale", $("guidance").value);
  form.append("generate_sound", String($("sound").checked));
  form.append("format", $("format").value);
  if ($("seed").value.trim()) form.append("seed", $("seed").value.trim());
  if ($("negative").value.trim()) form.append("negative_prompt", $("negative").value.trim());
  if ($("rewrite").checked) form.append("rewrite", "true");
  if (picture) form.append("input_reference", picture, picture.name || "picture");
  return form;
}

function showCheck(found) {
  const { prompt_tokens: tokens, most_tokens: most, warnings } = found;
  $("prompt-count").hidden = tokens * 2 < most;
  $("prompt-count").textContent = `${tokens} of ${most} tokens`;
  note($("prompt-notes"), warnings);
}

// Asks the server for warnings about the film.  While a field is wrong there are none.
async function check() {
  const number = ++checks;
  const nothing = { prompt_tokens: 0, most_tokens: 1, warnings: [] };
  const form = formFields();
  form.delete("input_reference");
  form.delete("seed");
  form.delete("rewrite");
  try {
    const found = $("prompt").value.trim()
      ? await request("v1/videos/check", { method: "POST", body: form }) : nothing;
    if (number === checks) showCheck(found);
  } catch (error) {
    if (number === checks) showCheck(nothing);
  }
}

function checkSoon() {
  clearTimeout(checkTimer);
  if (model) checkTimer = setTimeout(check, CHECK_MS);
}

function accept(video) {
  const entry = update(video);
  if (entry) place(entry, true);
  showEmpty();
  follow();
  clearTimeout(pollTimer);
  pollTimer = setTimeout(refresh, 800);
}

// A full queue: the button counts down and then works again.
function waitForRoom(seconds) {
  busyUntil = Date.now() + 1000 * seconds;
  const tick = () => {
    const left = Math.ceil((busyUntil - Date.now()) / 1000);
    $("make").disabled = left > 0;
    $("make").textContent = left > 0 ? `Try again in ${left} s` : "Make the film";
    if (left > 0) setTimeout(tick, 250);
    else complain("");
  };
  tick();
}

async function make(event) {
  event.preventDefault();
  if ($("make").disabled) return;
  complain("");
  if (!$("prompt").value.trim()) {
    complain("Say what happens in the film.", "prompt");
    return;
  }
  $("make").disabled = true;
  $("make").textContent = $("rewrite").checked ? "Writing it out…" : "Sending…";
  let wait = 0;
  try {
    accept(await request("v1/videos", { method: "POST", body: formFields() }));
    say("The film is in the queue.");
    if (matchMedia("(max-width: 920px)").matches)
      $("films-title").scrollIntoView({ behavior: "smooth", block: "start" });
  } catch (error) {
    if (!(error instanceof Refusal)) complain("The server cannot be reached. Nothing was sent; try again.");
    else if (error.status !== 401) complain(error.message, error.param);
    wait = error.status === 429 ? error.retryAfter : 0;
  }
  $("make").disabled = false;
  $("make").textContent = "Make the film";
  if (wait > 0) waitForRoom(wait);
}

// --- signing in -----------------------------------------------------------------------------------------

function askForKey() {
  closeStream();
  clearTimeout(pollTimer);
  if (!$("sign-in").open) $("sign-in").showModal();
  $("key").focus();
}

async function signIn(event) {
  event.preventDefault();
  const alert = $("sign-in-error");
  alert.hidden = true;
  const reply = await fetch("session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ key: $("key").value }),
  }).catch(() => null);
  if (reply && reply.ok) {
    $("key").value = "";
    $("sign-in").close();
    begin();
    return;
  }
  alert.textContent = reply ? "This is not a key of this server." : "The server cannot be reached.";
  alert.hidden = false;
  $("key").setAttribute("aria-invalid", "true");
  $("key").select();
}

async function signOut() {
  await request("session", { method: "DELETE" }).catch(() => null);
  location.reload();
}

// --- beginning ----------------------------------------------------------------------------------------------

async function begin() {
  try {
    const session = await request("session");
    $("sign-out").hidden = !(session.needs_key && session.signed_in);
    if (session.needs_key && !session.signed_in) {
      askForKey();
      return;
    }
    if (!model) {
      model = (await request("v1/models")).data[0];
      fillForm();
    }
    $("main").hidden = false;
    refresh();
  } catch (error) {
    setTimeout(begin, 3000);
  }
}

function listen() {
  const drop = $("drop");
  $("composer").addEventListener("submit", make);
  $("composer").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) make(event);
  });
  $("picture").addEventListener("change", () => { if ($("picture").files[0]) setPicture($("picture").files[0]); });
  $("picture-remove").addEventListener("click", () => { setPicture(null); $("picture").focus(); });
  for (const name of ["dragenter", "dragover"])
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const name of ["dragleave", "drop"])
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.remove("over"); });
  drop.addEventListener("drop", (event) => {
    const file = [...event.dataTransfer.files].find((f) => f.type.startsWith("image/"));
    if (file) setPicture(file);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files || [])].find((f) => f.type.startsWith("image/"));
    if (!file || !model) return;
    event.preventDefault();
    setPicture(file);
    toast("The picture is the first frame now.");
  });
  for (const id of ["steps", "guidance"]) $(id).addEventListener("input", showOutputs);
  $("composer").addEventListener("input", checkSoon);
  $("more").addEventListener("click", showOlder);
  $("sign-in-form").addEventListener("submit", signIn);
  $("sign-in").addEventListener("cancel", (event) => event.preventDefault());
  $("sign-out").addEventListener("click", signOut);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && model) refresh(); });
  // Films that were deleted a moment ago are gone when the page is left.
  addEventListener("pagehide", () => { for (const id of [...doomed.keys()]) deleteNow(id, { keepalive: true }); });
  for (const idea of IDEAS) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = idea;
    button.addEventListener("click", () => { $("prompt").value = idea; $("prompt").focus(); checkSoon(); });
    $("ideas").append(button);
  }
}

listen();
begin();
