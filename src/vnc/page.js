// SPDX-License-Identifier: GPL-2.0-or-later
// The page around noVNC's screen. Source: noVNC's docs/API.md.
import RFB from "/novnc/core/rfb.js";

const el = (id) => document.getElementById(id);
const needs = ["cad", "paste", "shot"];
let rfb, again = 500;

function state(text, connected) {
	el("state").textContent = text;
	for (const id of needs)
		el(id).disabled = !connected;
	if (!connected)
		el("power").disabled = el("reset").disabled = true;
}

function connect() {
	const scheme = location.protocol === "https:" ? "wss" : "ws";

	state("connecting", false);
	rfb = new RFB(el("screen"), `${scheme}://${location.host}/websockify`, {shared: true});
	rfb.scaleViewport = true;
	rfb.showDotCursor = true;
	rfb.addEventListener("connect", () => {
		again = 500;
		state("connected", true);
		rfb.focus();
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
		again = Math.min(again * 2, 10000);
	});
}

// A character of a US keyboard as keysyms; the server finds the keys.
const SHIFTED = /[A-Z~!@#$%^&*()_+{}|:"<>?]/;
const SHIFT = 0xffe1;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function type(text) {
	for (const c of text) {
		const sym = c === "\n" ? 0xff0d : c === "\t" ? 0xff09 : c.codePointAt(0);

		if (sym < 0x20 || (sym > 0x7e && sym < 0xff00))
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

function screenshot() {
	const canvas = el("screen").querySelector("canvas");

	canvas.toBlob((blob) => {
		const a = document.createElement("a");

		a.href = URL.createObjectURL(blob);
		a.download = `${document.title.replace(/[^\w.-]+/g, "_")}.png`;
		a.click();
		setTimeout(() => URL.revokeObjectURL(a.href), 10000);
	}, "image/png");
}

el("cad").onclick = () => { rfb.sendCtrlAltDel(); rfb.focus(); };
el("power").onclick = () => { rfb.machineShutdown(); rfb.focus(); };
el("reset").onclick = () => {
	if (confirm("Press the reset button? The guest is not asked."))
		rfb.machineReset();
	rfb.focus();
};
el("shot").onclick = screenshot;
el("full").onclick = () => {
	if (document.fullscreenElement)
		document.exitFullscreen();
	else
		document.documentElement.requestFullscreen();
	rfb.focus();
};
el("paste").onclick = () => { rfb.blur(); el("text").showModal(); };
el("text").onclose = () => {
	rfb.focus();
	if (el("text").returnValue === "type")
		type(el("clip").value);
	el("clip").value = "";
};
connect();
