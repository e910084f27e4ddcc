// SPDX-License-Identifier: GPL-2.0-or-later
// Drives the page in headless Chromium, by lines of JSON from standard input; an answer each.
// usage: node drive.js CHROMIUM   (playwright-core in NODE_PATH)
const {chromium} = require("playwright-core");
const readline = require("readline");
const fs = require("fs");

const WAIT = 120000;

async function main() {
	const browser = await chromium.launch({executablePath: process.argv[2], args: ["--no-sandbox"]});
	const context = await browser.newContext({acceptDownloads: true});
	const page = await context.newPage();
	const errors = [];

	context.setDefaultTimeout(WAIT);
	page.on("pageerror", (e) => errors.push(String(e)));
	page.on("console", (m) => { if (m.type() === "error") errors.push(m.text()); });

	const connected = async () => {
		await page.waitForFunction(() => document.getElementById("state").textContent === "connected");
		await page.waitForFunction(() => document.querySelector("#screen canvas").width > 300);
	};
	const commands = {
		// Until the screen is there: what a person waits for.
		open: async ({url}) => {
			const start = Date.now();

			await page.goto(url);
			await connected();
			return {ms: Date.now() - start, title: await page.title(), url: page.url()};
		},
		reload: async () => { await page.reload(); await connected(); },
		status: async ({url}) => {
			const other = await browser.newContext();
			const answer = await (await other.newPage()).goto(url);

			await other.close();
			return answer.status();
		},
		again: async ({url}) => (await (await context.newPage()).goto(url)).status(),
		accept: async () => { page.on("dialog", (d) => d.accept()); },
		dismiss: async () => { page.once("dialog", (d) => d.dismiss()); },
		click: async ({id}) => { await page.click("#" + id); },
		enabled: async ({id}) => page.isEnabled("#" + id),
		keys: async ({keys, at}) => {
			await page.focus(at || "#screen canvas");
			for (const k of keys)
				await page.keyboard.press(k, {delay: 20});
		},
		write: async ({text, at}) => {
			await page.focus(at);
			await page.keyboard.type(text);
		},
		// As a person types at the screen: with Shift where a US keyboard needs it.
		type: async ({text}) => {
			await page.focus("#screen canvas");
			for (const c of text) {
				const key = c === "\n" ? "Enter" : /[~!@#$%^&*()_+{}|:"<>?A-Z]/.test(c) ? "Shift+" + c : c;

				await page.keyboard.press(key, {delay: 20});
			}
		},
		// A click at a dot of the guest's screen.
		mouse: async ({x, y, button}) => {
			const canvas = page.locator("#screen canvas");
			const box = await canvas.boundingBox();
			const dots = await canvas.evaluate((c) => ({w: c.width, h: c.height}));

			await page.mouse.click(box.x + (x + 0.5) * box.width / dots.w,
				box.y + (y + 0.5) * box.height / dots.h, {button: button || "left", delay: 60});
		},
		size: async ({width, height}) => { await page.setViewportSize({width, height}); },
		picture: async ({path}) => { await page.screenshot({path}); },
		canvas: async ({path}) => { await page.locator("#screen canvas").screenshot({path}); },
		text: async ({text}) => {
			await page.click("#paste");
			await page.fill("#clip", text);
			const said = await page.textContent("#left");

			await page.click("#type");
			return said;
		},
		// What the browser's clipboard holds, by its button.
		clipboard: async ({text}) => {
			await context.grantPermissions(["clipboard-read", "clipboard-write"]);
			await page.evaluate((t) => navigator.clipboard.writeText(t), text);
			await page.click("#paste");
			await page.click("#fetch");
			await page.waitForFunction((t) => document.getElementById("clip").value === t, text);
			await page.click("#type");
		},
		shot: async ({path}) => {
			const [d] = await Promise.all([page.waitForEvent("download"), page.click("#shot")]);

			await d.saveAs(path);
			return d.suggestedFilename();
		},
		see: async ({text, at}) => {
			await page.waitForFunction(([t, a]) => document.querySelector(a)?.textContent.includes(t),
						   [text, at]);
		},
		read: async ({at}) => page.textContent(at),
		full: async () => {
			const now = () => page.evaluate(() => Boolean(document.fullscreenElement));
			const before = await now();

			await page.click("#full");
			await page.waitForFunction((b) => Boolean(document.fullscreenElement) !== b, before);
			return now();
		},
		errors: async () => errors.splice(0),
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
