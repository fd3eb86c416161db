// A person at the page of a running server: node page.js URL [FOLDER for pictures]. Exits with 0 if all is as it should be.
const { chromium } = require("playwright-core");
const assert = require("assert"), fs = require("fs"), os = require("os"), path = require("path");
const [url, pictures] = process.argv.slice(2);

(async () => {
  const quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", ...quiet] });
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, colorScheme: "light", acceptDownloads: true });
  const page = await context.newPage(), folder = fs.mkdtempSync(path.join(os.tmpdir(), "page-"));
  const problems = [], foreign = [];
  page.on("console", m => { if (["error", "warning"].includes(m.type())) problems.push(m.text()); });
  page.on("pageerror", e => problems.push(String(e)));
  page.on("request", r => { if (![url, "data:", "blob:"].some(own => r.url().startsWith(own))) foreign.push(r.url()); });
  page.on("dialog", d => d.accept());
  const shot = async name => { if (pictures) await page.screenshot({ path: path.join(pictures, `${name}.png`) }); };
  const loaded = () => page.waitForFunction(() => document.querySelector("#model").options.length > 0);
  const idle = () => page.waitForFunction(() => !document.querySelector(".busy") && document.querySelector("#stop").classList.contains("hidden"));
  const turns = () => page.$$eval(".turn .text", all => all.map(one => one.textContent));
  const send = async text => { await page.fill("#say", text); await page.press("#say", "Enter"); };

  // First load, a message, settings.
  await page.goto(url); await loaded(); await shot("first");
  await send("I need a cheap restaurant."); await idle();
  assert.equal((await turns())[0], "I need a cheap restaurant."); await shot("reply");
  await page.click("#settings"); await page.fill("#n-max_tokens", "400"); await shot("settings"); await page.click("#done");
  // Stop, as soon as something is there, unless it has ended by then; what was said stays.
  await send("Tell me everything."); await page.waitForFunction(() => document.querySelector(".busy .text")?.textContent || !document.querySelector(".busy"));
  await page.keyboard.press("Escape"); await idle();
  // Another reply in the place of the last; an edit forgets what followed.
  const before = (await turns()).length;
  if (await page.isVisible("text=Regenerate")) { await page.click("text=Regenerate"); await idle(); assert.ok(Math.abs((await turns()).length - before) <= 1); }
  await page.locator(".turn.user button", { hasText: "Edit" }).first().click();
  await page.fill(".turn textarea", "an expensive hotel"); await page.press(".turn textarea", "Enter"); await idle();
  assert.equal((await turns())[0], "an expensive hotel"); assert.ok((await turns()).length <= 2);
  // Markup in a message, in a reply, and in what is kept is text.
  const evil = `<img src=x onerror="window.evil=1"><script>window.evil=2</script>`;
  await page.evaluate(evil => {
    const all = JSON.parse(localStorage.getItem("reformer.conversations"));
    all[0].messages = [{ role: "user", content: evil }, { role: "assistant", content: evil, model: evil }];
    localStorage.setItem("reformer.conversations", JSON.stringify(all));
  }, evil);
  await page.reload(); await loaded();
  assert.deepEqual(await turns(), [evil, evil]); await send(evil); await idle();
  assert.equal((await turns())[2], evil); assert.equal(await page.evaluate(() => window.evil), undefined); await shot("markup");
  // Out, away, and in again; a file that is none is told.
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("text=Export")]);
  const file = path.join(folder, "export.json"), bad = path.join(folder, "bad.json"), count = (await turns()).length;
  await download.saveAs(file); fs.writeFileSync(bad, "{\"a\": 1}");
  await page.click(".entry button[aria-label^=Remove]"); assert.deepEqual(await turns(), []);
  const choose = async name => { const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.click("text=Import")]); await chooser.setFiles(name); };
  await choose(file); await page.waitForFunction(count => document.querySelectorAll(".turn").length === count, count);
  await choose(bad); await page.waitForSelector(".fault"); assert.match(await page.textContent(".fault"), /cannot be imported/);
  // Inside.
  await page.click("#inside"); await page.locator("#tokens button").nth(2).click();
  await page.waitForSelector("#tokens button:nth-child(3)[aria-pressed=true]"); await shot("inside");
  await page.selectOption("#layer", { index: 0 }); await page.waitForFunction(() => document.querySelector("#round").disabled); await page.click("#closed");
  // Dark, and as narrow as a phone.
  await page.emulateMedia({ colorScheme: "dark" }); await shot("dark");
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(251, 250, 248)");
  await page.setViewportSize({ width: 390, height: 844 }); await shot("narrow");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 390), "wider than a phone");
  await page.click("#menu"); assert.ok(await page.isVisible("nav .new")); await shot("narrow-menu");

  assert.deepEqual(foreign, []); assert.deepEqual(problems, []);
  await browser.close();
  fs.rmSync(folder, { recursive: true });
})().catch(error => { console.error(error); process.exit(1); });
