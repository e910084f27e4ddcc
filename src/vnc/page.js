// SPDX-License-Identifier: GPL-2.0-or-later
// The page around noVNC's screen and xterm.js's terminal. Source: noVNC's docs/API.md; xterm.js's typings.
import RFB from "./novnc/core/rfb.js";

const el = (id) => document.getElementById(id);
const socket = (name) => new URL(name, location.href.replace(/^http/, "ws")).href;
const AGAIN = 500, AGAIN_MOST = 10000;
let onSerial = false;

// ---- The screen ------------------------------------------------------------------------------------

let rfb, again = AGAIN;

function state(text, connected) {
	el("state").textContent = text;
	for (const id of ["cad", "shot"])
		el(id).disabled = !connected;
	if (!connected)
		el("power").disabled = el("reset").disabled = true;
}

function connect() {
	state("connecting", false);
	rfb = new RFB(el("screen"), socket("websockify"), {shared: true});
	rfb.scaleViewport = true;
	rfb.showDotCursor = true;
	rfb.addEventListener("connect", () => {
		again = AGAIN;
		state("connected", true);
		focus();
	});
	rfb.addEventListener("desktopname", (e) => {
		el("name").textContent = e.detail.name;
		document.title = e.detail.name;
	});
	rfb.addEventListener("capabilities", (e) => {
		el("power").disabled = el("reset").disabled = !e.detail.capabilities.power;
	});
	rfb.addEventListener("disconnect", () => {
		state("not connected", false);
		setTimeout(connect, again);
		again = Math.min(again * 2, AGAIN_MOST);
	});
}

// ---- The serial console ----------------------------------------------------------------------------

// The first serial port's, as `lodge console` has it: what was said last comes first, and others may type as well.
let term, line, lineAgain = AGAIN;
const bytes = new TextEncoder();

function load(tag, settings) {
	return new Promise((done, failed) => {
		const e = document.createElement(tag);

		Object.assign(e, settings, {onload: done, onerror: failed});
		document.head.append(e);
	});
}

function say(text) {
	el("serialstate").textContent = text;
}

function send(text) {
	if (line && line.readyState === WebSocket.OPEN)
		line.send(bytes.encode(text));
}

async function openTerminal() {
	term = null;
	try {
		await Promise.all([load("link", {rel: "stylesheet", href: "xterm/xterm.css"}),
				   load("script", {src: "xterm/xterm.js"})]);
	} catch {
		say("There is no terminal: 'npm install -g @xterm/xterm' on the machine's host, or xterm=FOLDER " +
		    "behind -display web=, and start it again. 'lodge console' is there in any case.");
		return;
	}
	// A serial line does not tell the guest of a size: it takes 80 by 24.
	term = new Terminal({cols: 80, rows: 24, scrollback: 5000, fontFamily: "monospace", fontSize: 15});
	term.open(el("terminal"));
	term.onData(send);
	term.onBinary((text) => line.send(Uint8Array.from(text, (c) => c.charCodeAt(0))));
	focus();
	openLine();
}

function openLine() {
	say("connecting");
	line = new WebSocket(socket("serial"));
	line.binaryType = "arraybuffer";
	line.onopen = () => {
		say("");
		term.reset(); // what was said last comes once more
	};
	line.onmessage = (e) => {
		lineAgain = AGAIN;
		term.write(new Uint8Array(e.data));
	};
	line.onclose = (e) => {
		say(e.reason || "not connected");
		setTimeout(openLine, lineAgain);
		lineAgain = Math.min(lineAgain * 2, AGAIN_MOST);
	};
}

// ---- Tabs ------------------------------------------------------------------------------------------

function focus() {
	if (el("text").open)
		return;
	if (!onSerial)
		rfb.focus();
	else if (term)
		term.focus();
}

function show(serial) {
	onSerial = serial;
	el("screen").className = serial ? "away" : "";
	el("serial").className = serial ? "" : "away";
	el("toscreen").setAttribute("aria-selected", !serial);
	el("toserial").setAttribute("aria-selected", serial);
	if (serial)
		rfb.blur();
	if (serial && term === undefined)
		openTerminal();
	focus();
}

// ---- Text that is typed ----------------------------------------------------------------------------

// The guest has no part of this clipboard: text gets there by keys. The server finds a character's key.
const SHIFTED = /[A-Z~!@#$%^&*()_+{}|:"<>?]/;
const TYPED = /[\n\t\x20-\x7e]/;
const SHIFT = 0xffe1;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function typeKeys(text) {
	for (const c of text) {
		const sym = c === "\n" ? 0xff0d : c === "\t" ? 0xff09 : c.codePointAt(0);

		if (!TYPED.test(c))
			continue;
		if (SHIFTED.test(c))
			rfb.sendKey(SHIFT, "ShiftLeft", true);
		rfb.sendKey(sym, null, true);
		await pause(15);
		rfb.sendKey(sym, null, false);
		if (SHIFTED.test(c))
			rfb.sendKey(SHIFT, "ShiftLeft", false);
		await pause(15);
	}
}

function count() {
	const n = onSerial ? 0 : [...el("clip").value].filter((c) => !TYPED.test(c)).length;

	el("left").textContent = n ? `${n} ${n > 1 ? "characters are" : "character is"} on no key of a US keyboard ` +
		"and left out." : "";
}

function openText() {
	el("how").textContent = onSerial ? "This is sent to the serial console:" :
		"The guest does not see this browser's clipboard, nor the other way. What is here is typed on the guest's " +
		"keyboard, key by key, as a US keyboard has it:";
	count();
	rfb.blur();
	el("text").returnValue = "";
	el("text").showModal();
	el("clip").focus();
}

function closeText() {
	const text = el("clip").value.replace(/\r\n?/g, "\n");

	el("clip").value = "";
	focus();
	if (el("text").returnValue !== "type")
		return;
	if (onSerial)
		send(text.replace(/\n/g, "\r"));
	else
		typeKeys(text);
}

async function fetchText() {
	try {
		el("clip").value = await navigator.clipboard.readText();
		count();
	} catch {
		el("left").textContent = "The browser does not hand its clipboard over: paste it here yourself.";
	}
}

// ---- Buttons ---------------------------------------------------------------------------------------

function screenshot() {
	el("screen").querySelector("canvas").toBlob((blob) => {
		const a = document.createElement("a");

		a.href = URL.createObjectURL(blob);
		a.download = `${document.title.replace(/[^\w.-]+/g, "_")}.png`;
		a.click();
		setTimeout(() => URL.revokeObjectURL(a.href), 10000);
	}, "image/png");
	focus();
}

el("toscreen").onclick = () => show(false);
el("toserial").onclick = () => show(true);
el("cad").onclick = () => { rfb.sendCtrlAltDel(); focus(); };
el("power").onclick = () => { rfb.machineShutdown(); focus(); };
el("reset").onclick = () => {
	if (confirm("Press the reset button? The guest is not asked."))
		rfb.machineReset();
	focus();
};
el("shot").onclick = screenshot;
el("full").onclick = () => {
	if (document.fullscreenElement)
		document.exitFullscreen();
	else
		document.documentElement.requestFullscreen();
	focus();
};
el("paste").onclick = openText;
el("text").onclose = closeText;
el("clip").oninput = count;
el("fetch").onclick = fetchText;
connect();
