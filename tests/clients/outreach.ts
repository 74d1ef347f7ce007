// A whole campaign in thirty lines, with nothing but the platform's fetch.
import { randomUUID } from "node:crypto";

const { AMPOUT_URL: base, AMPOUT_KEY: key, SMTP_CREDENTIAL: credential } = process.env as Record<string, string>;

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", "idempotency-key": randomUUID() };
  const answer = await fetch(base + path, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

const steps = [{ position: 1, subject: "Hi {{first_name}}", body_html: "<p>How is {{company}}?</p>" }];
const campaign = {
  name: "From TypeScript", min_wait_seconds: 0, max_wait_seconds: 0,
  smtp_credentials: [JSON.parse(credential!)], sequence_steps: steps,
};
const made = await call<{ id: string }>("POST", "/campaigns", { campaign });
const contacts = [{ email: "bo@there.test", first_name: "Bo", company: "There" }];
const list = { contact_import: { name: "people", contacts } };
const imported = await call<{ id: string }>("POST", "/contact_imports", list);
await call("POST", `/campaigns/${made.id}/enroll`, { contact_import_id: imported.id });
await call("POST", `/campaigns/${made.id}/dispatch`, {});
let sent = 0;
for (let tries = 0; sent < 1 && tries < 300; tries += 1) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  sent = (await call<{ totals: { sent: number } }>("GET", `/campaigns/${made.id}`)).totals.sent;
}
if (sent < 1) throw new Error(`not sent: ${JSON.stringify(await call("GET", `/campaigns/${made.id}/explain`))}`);
console.log("sent");
