// SPDX-License-Identifier: GPL-2.0-or-later
// Uses the page in headless Chromium as a person does, by lines of JSON from standard input; an answer each.
// usage: node page.js CHROMIUM   (playwright-core in NODE_PATH)
const {chromium} = require("playwright-core");
const readline = require("readline");
const fs = require("fs");

async function main() {
	const browser = await chromium.launch({executablePath: process.argv[2], args: ["--no-sandbox"]});
	const context = await browser.newContext();
	const page = await context.newPage();
	const errors = [];

	page.on("pageerror", (e) => errors.push(String(e)));
	page.on("console", (m) => { if (m.type() === "error") errors.push(m.text()); });
	const commands = {
		open: async ({url}) => {
			const start = Date.now();

			await page.goto(url);
			await page.waitForFunction(() => document.getElementById("state").textContent === "connected");
			await page.waitForFunction(() => document.querySelector("#screen canvas").width > 300);
			return {ms: Date.now() - start, title: await page.title(), url: page.url()};
		},
		keys: async ({keys}) => {
			await page.focus("#screen canvas");
			for (const k of keys)
				await page.keyboard.press(k, {delay: 20});
		},
		size: async ({width, height}) => { await page.setViewportSize({width, height}); },
		// A click at a dot of the guest's screen.
		mouse: async ({x, y, button}) => {
			const canvas = page.locator("#screen canvas");
			const box = await canvas.boundingBox();
			const dots = await canvas.evaluate((c) => ({w: c.width, h: c.height}));

			await page.mouse.click(box.x + (x + 0.5) * box.width / dots.w,
				box.y + (y + 0.5) * box.height / dots.h, {button: button || "left", delay: 60});
		},
		// As a person types: with Shift where a US keyboard needs it.
		type: async ({text}) => {
			await page.focus("#screen canvas");
			for (const c of text) {
				const key = c === "\n" ? "Enter" : /[~!@#$%^&*()_+{}|:"<>?A-Z]/.test(c) ? "Shift+" + c : c;

				await page.keyboard.press(key, {delay: 20});
			}
		},
		text: async ({text}) => {
			await page.click("#paste");
			await page.fill("#clip", text);
			await page.click("#type");
		},
		picture: async ({path}) => { await page.screenshot({path}); },
		canvas: async ({path}) => { await page.locator("#screen canvas").screenshot({path}); },
	};

	for await (const line of readline.createInterface({input: process.stdin})) {
		const c = JSON.parse(line);

		try {
			const r = await commands[c.do](c);
			console.log(JSON.stringify({ok: r === undefined ? null : r}));
		} catch (e) {
			console.log(JSON.stringify({error: String(e), errors}));
		}
	}
	await browser.close();
}

main().catch((e) => { fs.writeSync(2, String(e.stack) + "\n"); process.exit(1); });
