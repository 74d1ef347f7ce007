// Verifies one webhook as a customer's app would, with the npm package of the specification. Standard input: a JSON object
// with `secret`, `headers` and `body`. Prints the parsed event, or fails with the package's own words.
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(await text(process.stdin));
console.log(JSON.stringify(new Webhook(secret).verify(body, headers)));
