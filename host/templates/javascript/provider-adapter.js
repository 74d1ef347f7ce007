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
    const events = Array.isArray(body) ? body : [body];
    // Whoever has the address can post anything.
    if (!events.every((event) => typeof event === 'object' && event !== null && !Array.isArray(event))) {
      throw { tag: 'malformed', val: 'the body holds something else than events' };
    }
    return { tag: 'events', val: events.map(eventOf) };
  },
};

function eventOf(fields) {
  const type = text(fields.type) ?? '';
  const kind = Object.hasOwn(KINDS, type) ? KINDS[type] : 'unknown';
  // Events with the same key are one, however often the provider sends them.
  return { kind, recipient: text(fields.to), dedupeKey: text(fields.id), extra: [] };
}

// A text or a number as text. Half of a surrogate pair is no text for the host, and JSON may have one.
function text(value) {
  return ['string', 'number'].includes(typeof value) ? String(value).toWellFormed() : undefined;
}

function presents(request, secret) {
  const value = request.headers.find(([name]) => name === 'authorization')?.[1] ?? '';
  return constantTimeEqual(bytesOf(value), bytesOf(`Bearer ${secret}`));
}

// QuickJS has neither TextEncoder nor TextDecoder.
function bytesOf(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (char) => char.charCodeAt(0));
}

// UTF-8 in pieces: byte by byte, a large request would take longer than a call may.
function textOf(bytes) {
  let text = '';
  for (let at = 0, end; at < bytes.length; at = end) {
    end = Math.min(at + 4096, bytes.length);
    // A letter of several bytes stays whole.
    for (let more = 0; more < 3 && (bytes[end] & 0xc0) === 0x80; more += 1) end += 1;
    const piece = bytes.subarray(at, end);
    const raw = String.fromCharCode.apply(null, piece);
    text += Math.max.apply(null, piece) < 0x80 ? raw : raw.replace(/[\x80-\xff]+/g, lettersOf);
  }
  return text;
}

// Bytes that are no UTF-8 become a mark each.
function lettersOf(raw) {
  try {
    return decodeURIComponent(escape(raw));
  } catch {
    return '\ufffd'.repeat(raw.length);
  }
}
