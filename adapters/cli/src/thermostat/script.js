"use strict";

const part = (id) => document.getElementById(id);
const celsius = (value) => value.toFixed(1).replace("-", "\u2212");
let state = null;
let waiting = null;

function show(next) {
  state = next;
  const share = (state.room - state.min) / (state.max - state.min);
  part("arc").setAttribute("stroke-dasharray", `${Math.min(1, Math.max(0, share)) * 100} 100`);
  part("room").textContent = celsius(state.room);
  document.querySelector("main").classList.toggle("heating", state.heating);
  part("state").textContent = state.heating ? "Heating" : "Holding";
  if (waiting === null) {
    showTarget(state.target);
  }
}

function showTarget(target) {
  part("target").textContent = `${celsius(target)} °C`;
  part("slider").value = target;
}

async function call(path, options) {
  const reply = await fetch(path, options);
  const body = await reply.json();
  if (!reply.ok) {
    throw new Error(body.error);
  }
  return body;
}

async function refresh() {
  try {
    show(await call("api"));
    part("reading").textContent = "";
  } catch {
    part("state").textContent = "No connection to the thermostat";
  }
}

async function send(target) {
  try {
    const next = await call("api/target", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ target }),
    });
    waiting = null;
    show(next);
    part("reading").textContent = `Target set to ${celsius(target)} °C`;
  } catch (error) {
    waiting = null;
    part("reading").textContent = `Not set: ${error.message}`;
    await refresh();
  }
}

// While a person turns the knob, only the last value is sent.
function choose(target) {
  if (state === null) {
    return;
  }
  const clamped = Math.min(state.max, Math.max(state.min, target));
  showTarget(clamped);
  clearTimeout(waiting);
  waiting = setTimeout(() => send(clamped), 250);
}

part("slider").addEventListener("input", (event) => choose(Number(event.target.value)));
part("down").addEventListener("click", () => choose(Number(part("slider").value) - 0.5));
part("up").addEventListener("click", () => choose(Number(part("slider").value) + 0.5));
refresh();
setInterval(refresh, 2000);
