// The SMTP2GO adapter in JavaScript: one request of the provider becomes events. It decides as the shipped component does;
// the component knows more of servers' words.
import { constantTimeEqual, hash } from 'ampout:extension/crypto@1.0.0';

const KINDS = {
  processed: 'processed', delivered: 'delivered', delivery: 'delivered', spam: 'complaint', spam_complaint: 'complaint',
  complaint: 'complaint', unsubscribe: 'unsubscribe', unsubscribed: 'unsubscribe', resubscribe: 'resubscribe',
  resubscribed: 'resubscribe', reject: 'reject', rejected: 'reject', open: 'open', opened: 'open', click: 'click',
  clicked: 'click',
};
const BOUNCES = ['bounce', 'bounced', 'hard_bounce', 'soft_bounce'];
const OF_A_MAIL = ['rcpt', 'recipients', 'email_id', 'email', 'message-id', 'Message-Id'];
const OF_A_TEXT_MESSAGE = ['sms_id', 'message_id', 'destination', 'to'];

const LIVES = /block ?list|black ?list|blocked|spam|reputation|policy|dmarc|\bspf\b|dkim|too large|size limit|virus/i;
const FULL = /quota|mailbox (is )?full|try again|temporar|gr[ae]y-?list|too many/i;
const DEAD = /user unknown|unknown user|no such (user|mailbox|recipient|address)|does(n't| not) exist|mailbox (not found|unavailable)|invalid (recipient|mailbox)|recipient address rejected|account (has been )?disabled/i;

export const providerIngestion = {
  ingest(request, settings) {
    const secret = Object.fromEntries(settings).signing_secret;
    if (secret && !presents(header(request, 'authorization'), secret)) {
      throw { tag: 'unauthorized', val: "the Authorization header does not present the endpoint's signing_secret" };
    }
    return { tag: 'events', val: bodies(textOf(request.body)).flatMap(eventsOf) };
  },
};

function header(request, name) {
  return request.headers.find(([key]) => key.toLowerCase() === name)?.[1] ?? '';
}

// As a bearer token, or as the password of Basic.
function presents(value, secret) {
  const [scheme, credentials] = value.trim().split(/\s+/);
  const same = (text) => constantTimeEqual(bytesOf(text), bytesOf(secret));
  if (/^bearer$/i.test(scheme) && credentials) return same(credentials);
  if (!/^basic$/i.test(scheme) || !credentials) return false;
  const pair = base64(credentials);
  return same(pair) || same(pair.slice(pair.indexOf(':') + 1));
}

// SMTP2GO posts a form unless the webhook says JSON.
function bodies(text) {
  if (!/^\s*[{[]/.test(text)) return [form(text)];
  let parsed;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw { tag: 'malformed', val: String(error.message) };
  }
  const events = Array.isArray(parsed) ? parsed : [parsed];
  if (events.some((event) => typeof event !== 'object' || event === null || Array.isArray(event))) {
    throw { tag: 'malformed', val: 'the body holds something else than events' };
  }
  return events;
}

// A key that comes again, `key[]` and `key[0]` make a list of `key`.
function form(text) {
  const fields = Object.create(null);
  for (const pair of text.split('&').filter(Boolean)) {
    const [key, value] = [...pair.split(/=(.*)/s), ''].map(decoded);
    const name = key.replace(/(.)\[[^\]]*\]$/, '$1');
    fields[name] = name in fields ? [fields[name], value].flat() : name === key ? value : [value];
  }
  return fields;
}

function decoded(text) {
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

// None for a text message, one for most notifications, one a recipient for `processed`.
function eventsOf(fields) {
  if (!OF_A_MAIL.some((name) => name in fields) && OF_A_TEXT_MESSAGE.some((name) => name in fields)) return [];
  const one = address(text(fields, 'rcpt') ?? text(fields, 'email') ?? '');
  const many = [fields.recipients ?? []].flat().flatMap((item) => (typeof item === 'string' ? item.split(',') : []));
  const recipients = one ? [one] : many.map(address).filter(Boolean);
  return (recipients.length ? recipients : [undefined]).map((recipient) => event(fields, recipient));
}

function event(fields, recipient) {
  const name = (text(fields, 'event') ?? '').toLowerCase();
  const said = text(fields, 'message') ?? '';
  const kind = kindOf(name, (text(fields, 'bounce') ?? '').toLowerCase(), said);
  const [emailId, time, context] = [text(fields, 'email_id'), text(fields, 'time') ?? text(fields, 'timestamp'), text(fields, 'context')];
  const extra = ['host', 'auth', 'url', 'user-agent'].filter((key) => text(fields, key)).map((key) => [key, text(fields, key)]);
  if (kind === 'unknown') extra.push(['event', name]);
  // A greylisted message is told as a soft bounce and delivered later.
  if (kind === 'soft_bounce') extra.push(['final', 'false']);
  const code = /^\s*([245]\d\d)(?=[ -]|$)/.exec(said)?.[1];
  return {
    kind,
    recipient,
    sendId: textAnyCase(fields, 'x-ampout-send-id'),
    messageId: textAnyCase(fields, 'message-id')?.replace(/^[<\s]+|[>\s]+$/g, ''),
    providerMessageId: emailId,
    at: instant(time),
    smtpCode: code && Number(code),
    status: /(?:^|[^\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])/.exec(said)?.[1],
    reason: [said, context && (said ? `(${context})` : context)].filter(Boolean).join(' ') || undefined,
    // `id` was seen to repeat; it only adds to the rest.
    dedupeKey: keyOf([emailId, name, recipient, time, text(fields, 'id'), text(fields, 'url') ?? text(fields, 'click_url')]),
    extra,
  };
}

// SMTP2GO calls a policy refusal hard as well, and calls soft whatever it can't tell.
function kindOf(name, bounce, said) {
  if (!BOUNCES.includes(name)) return Object.hasOwn(KINDS, name) ? KINDS[name] : 'unknown';
  if (LIVES.test(said) || /\b5\.(7\.\d+|6\.\d+|2\.3|3\.4|1\.[78])\b/.test(said)) return 'policy_bounce';
  const isHard = name === 'hard_bounce' || bounce === 'hard';
  const isTemporary = /^\s*4\d\d\b|\b4\.\d+\.\d+\b/.test(said) || FULL.test(said);
  const isDead = DEAD.test(said) || /\b5\.(1\.(1|2|3|4|6|10)|4\.4|0\.0)\b/.test(said) || !/\b5\.\d+\.\d+\b/.test(said);
  return isHard && isDead && !isTemporary ? 'hard_bounce' : 'soft_bounce';
}

function text(fields, name) {
  const value = [fields[name]].flat()[0];
  const isPlain = ['string', 'number', 'boolean'].includes(typeof value);
  // Half of a surrogate pair is no text for the host, and JSON may have one.
  return (isPlain && String(value).toWellFormed().trim()) || undefined;
}

function textAnyCase(fields, name) {
  const key = Object.keys(fields).find((key) => key.toLowerCase().replaceAll('_', '-') === name);
  return key && text(fields, key);
}

function address(text) {
  const [, local, domain] = /([\w!#$%&'*+/=?^`{|}~.-]+)@((?:[\w-]+\.)+[\w-]+)/.exec(text) ?? [];
  return local && `${local}@${domain.toLowerCase()}`;
}

function instant(text) {
  const time = new Date(text ?? '');
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

function keyOf(parts) {
  const data = parts.map((part) => `${(part ?? '').length}:${part ?? ''}`).join('');
  return Array.from(hash('sha256', bytesOf(data)).slice(0, 16), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

// The engine is QuickJS: the language without a browser's TextEncoder and TextDecoder.
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

function base64(text) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const bits = Array.from(text.replace(/=+$/, ''), (char) => alphabet.indexOf(char).toString(2).padStart(6, '0')).join('');
  return textOf(Uint8Array.from(bits.match(/[01]{8}/g) ?? [], (byte) => Number.parseInt(byte, 2)));
}
