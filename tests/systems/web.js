// SPDX-License-Identifier: GPL-2.0-or-later
// Drives the page in headless Chromium, by lines of JSON from standard input; an answer each.
// usage: node web.js CHROMIUM   (playwright-core in NODE_PATH)
const {chromium} = require("playwright-core");
const readline = require("readline");
const fs = require("fs");

async function main() {
	const browser = await chromium.launch({executablePath: process.argv[2], args: ["--no-sandbox"]});
	const context = await browser.newContext({acceptDownloads: true});
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
		dialogs: async () => { page.on("dialog", (d) => d.accept()); },
		click: async ({id}) => { await page.click("#" + id); },
		keys: async ({keys}) => {
			await page.focus("#screen canvas");
			for (const k of keys)
				await page.keyboard.press(k, {delay: 20});
		},
		text: async ({text}) => {
			await page.click("#paste");
			await page.fill("#clip", text);
			await page.click("#type");
		},
		shot: async ({path}) => {
			const [d] = await Promise.all([page.waitForEvent("download"), page.click("#shot")]);

			await d.saveAs(path);
			return {name: d.suggestedFilename()};
		},
		picture: async ({path}) => { await page.screenshot({path}); },
		errors: async () => errors,
		status: async ({url}) => {
			const other = await (await browser.newContext()).newPage();

			return (await other.goto(url)).status();
		},
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
