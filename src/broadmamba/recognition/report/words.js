"use strict";

const SHORTEST = 0.25; // an utterance without length lasts this long on the screen, in seconds

const at = (id) => document.getElementById(id);
const percent = (part) => `${Math.round(part * 100)} %`;
const number = (count) => count.toLocaleString("en");
const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
const greatest = (items, value) => items.reduce((most, item) => Math.max(most, value(item)), 0);
const lasts = (utterance, time) =>
  utterance.start <= time + 0.02 && Math.max(utterance.end, utterance.start + SHORTEST) > time;

/** Seconds as m:ss or h:mm:ss, with tenths where asked for. */
function clock(seconds, tenths = false) {
  const total = tenths ? Math.round(seconds * 10) : Math.floor(seconds) * 10;
  const [hours, minutes, rest] = [Math.floor(total / 36000), Math.floor(total / 600) % 60, (total % 600) / 10];
  const tail = tenths ? rest.toFixed(1).padStart(4, "0") : String(rest).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** An element with text in it; what comes from the data is only ever set as text or attribute. */
function make(tag, className = "", text = "", attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
