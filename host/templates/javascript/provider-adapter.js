// Asked of every request to `/inbound/@NAME@/<token>`: what a provider posts becomes events.
import { constantTimeEqual } from 'ampout:extension/crypto@1.0.0';

const KINDS = { delivered: 'delivered', bounced: 'hard_bounce', complained: 'complaint' };

export const providerIngestion = {
  // Reads `{"id": …, "type": "bounced", "to": …}`, or a list of those.
  ingest(request, settings) {
    const secret = Object.fromEntries(settings).signing_secret;
    if (secret && !presents(request, secret)) {
      throw { tag: 'unauthorized', val: 'the Authorization header does not present the signing_secret' };
    }
    let body;
    try {
      body = JSON.parse(textOf(request.body));
    } catch (error) {
      throw { tag: 'malformed', val: String(error.message) };
    }
    return { tag: 'events', val: [body].flat().map(eventOf) };
  },
};

function eventOf({ id, type, to }) {
  // Events with the same key are one, however often the provider sends them.
  return { kind: KINDS[type] ?? 'unknown', recipient: to, dedupeKey: id, extra: [] };
}

function presents(request, secret) {
  const value = request.headers.find(([name]) => name === 'authorization')?.[1] ?? '';
  return constantTimeEqual(bytesOf(value), bytesOf(`Bearer ${secret}`));
}

// QuickJS has no TextEncoder.
function bytesOf(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (char) => char.charCodeAt(0));
}

function textOf(bytes) {
  return decodeURIComponent(escape(Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')));
}
