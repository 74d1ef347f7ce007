// Asked of every message that reaches a watched mailbox, before the shipped classifier.
export const replyClassification = {
  // A short "not interested" ends the sequence; everything else is left to the next in line.
  classify(message) {
    if (/^\s*not interested/i.test(message.text)) {
      return { verdict: { tag: 'unsubscribe-request' }, reason: 'declined', extra: [] };
    }
    return { verdict: { tag: 'pass' }, reason: undefined, extra: [] };
  },
};
