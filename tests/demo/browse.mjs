// Opens the demo page in headless Chromium as a person would and gives files to it. One JSON document in, one out:
// {page, files, chromium, screenshots} to {requests, errors, started, results}. Run where playwright-core is installed.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { page: url, files, chromium: executablePath, screenshots } = JSON.parse(readFileSync(0, "utf8"));
const { chromium } = createRequire(join(process.cwd(), "package.json"))("playwright-core");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const context = await browser.newContext({ viewport: { width: 1180, height: 900 }, acceptDownloads: true });
const page = await context.newPage();
const [requests, errors] = [[], []];
context.on("request", (request) => requests.push(request.url()));
page.on("websocket", (socket) => requests.push(socket.url()));
page.on("pageerror", (error) => errors.push(String(error)));
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));

const began = Date.now();
await page.goto(url);
await page.locator("#choose:enabled, #status.failed").waitFor();
const started = (Date.now() - began) / 1000;
const text = (id) => page.locator(`#${id}`).textContent();

async function settled() {
  await page.locator("#status.failed, #status:empty ~ #result:not([hidden])").waitFor({ timeout: 120_000 });
}

async function found(withMask) {
  if (await page.locator("#status.failed").count()) return { error: await text("status") };
  const result = { flags: await page.locator("#flags li").allTextContents() };
  for (const id of ["name", "size", "spacing", "whole", "right", "left", "seconds"]) result[id] = await text(id);
  result.pixels = {};
  for (const id of ["whole", "right", "left"]) {
    result.pixels[id] = Number(await page.locator(`#${id}`).getAttribute("data-pixels"));
  }
  if (withMask) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#save").click()]);
    result.mask = readFileSync(await download.path()).toString("base64");
    result.saved = download.suggestedFilename();
  }
  return result;
}

const results = {};
for (const { path, name, drop } of files) {
  if (drop) {
    const data = await page.evaluateHandle(([bytes, file]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], file));
      return transfer;
    }, [readFileSync(path).toString("base64"), name]);
    await page.dispatchEvent("#drop", "drop", { dataTransfer: data });
  } else await page.locator("#file").setInputFiles(path);
  await settled();
  results[name] = await found(true);
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
}
await page.locator("#sample").click();
await settled();
results["the made-up one"] = await found(false);
if (screenshots) {
  await page.screenshot({ path: join(screenshots, "sample.png"), fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: join(screenshots, "dark.png"), fullPage: true });
  await page.setViewportSize({ width: 420, height: 900 });
  await page.screenshot({ path: join(screenshots, "narrow.png"), fullPage: true });
}
await browser.close();
console.log(JSON.stringify({ requests, errors, started, results }));
