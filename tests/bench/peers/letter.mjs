// The message that the engine sends, for the peers in Node: the same text, merged for one contact.
import { readFileSync } from "node:fs";

const { subject, html, text } = JSON.parse(readFileSync(process.env.LETTER, "utf8"));

const merged = (template, number) =>
  template.replaceAll("{{first_name}}", `First${number % 997}`).replaceAll("{{company}}", `Company ${number % 50000}`);

export function letter(number) {
  return {
    from: "Ada of Pumps <ada@sender.test>",
    to: `person${number}@company${number % 50000}.test`,
    subject: merged(subject, number),
    text: merged(text, number),
    html: merged(html, number),
    headers: { "List-Unsubscribe": `<https://sender.test/unsubscribe/${number}>` },
  };
}

// What this process has used so far.
export function used() {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  return { cpu_seconds: (userCPUTime + systemCPUTime) / 1e6, peak_bytes: maxRSS * 1024 };
}
