// SPDX-License-Identifier: GPL-2.0-or-later
// One round of bench/web.py: times as a line of JSON.
// usage: node web_start.js CHROMIUM LODGE ARGS...   (playwright-core in NODE_PATH)
const {chromium} = require("playwright-core");
const {spawn} = require("child_process");

const now = () => Number(process.hrtime.bigint()) / 1e6;

// Starts the machine; the address that it prints.
function start(command) {
	const vm = spawn(command[0], command.slice(1), {stdio: ["ignore", "ignore", "pipe"]});
	const address = new Promise((done, failed) => {
		let said = "";

		vm.stderr.on("data", (d) => {
			const m = (said += d).match(/screen at (\S+)\n/);

			if (m)
				done(m[1]);
		});
		vm.on("exit", () => failed(new Error(said)));
	});

	return {vm, address};
}

async function main() {
	const browser = await chromium.launch({executablePath: process.argv[2], args: ["--no-sandbox"]});
	const begin = now(), at = {};
	const {vm, address} = start(process.argv.slice(3));
	const url = await address;

	at.address = now() - begin;
	const fresh = now();
	const page = await (await browser.newContext()).newPage();

	at.browser = now() - fresh;
	const stamp = (name) => { at[name] = now() - begin - at.browser; };

	await page.goto(url);
	stamp("loaded");
	await page.waitForFunction(() => document.getElementById("state").textContent === "connected", null,
				   {polling: 5});
	stamp("connected");
	// A dot that is not black: the BIOS has written its first words, and they are here.
	const count = () => page.evaluate(() => {
		const c = document.querySelector("#screen canvas");

		return c.width ? c.getContext("2d").getImageData(0, 0, c.width, c.height).data
			.filter((v, i) => i % 4 < 3 && v).length : 0;
	});
	while (!await count())
		;
	stamp("picture");
	at.requests = await page.evaluate(() => performance.getEntriesByType("resource").length + 1);
	// A key has gone through the browser and the machine when it is let go there.
	await page.focus("#screen canvas");
	await page.keyboard.press("Shift");
	stamp("key");
	vm.removeAllListeners("exit");
	vm.kill();
	await new Promise((done) => vm.on("close", done));
	await browser.close();
	console.log(JSON.stringify(at));
}

main().catch((e) => { console.error(String(e.stack)); process.exit(1); });
