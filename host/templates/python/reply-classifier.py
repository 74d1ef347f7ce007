"""Asked of every message that reaches a watched mailbox, before the shipped classifier."""

from wit_world import exports
from wit_world.exports.reply_classification import Classification, Verdict_Pass, Verdict_UnsubscribeRequest


class ReplyClassification(exports.ReplyClassification):
    def classify(self, message):
        """A short "not interested" ends the sequence; everything else is left to the next in line."""
        if message.text.lstrip().lower().startswith("not interested"):
            return Classification(Verdict_UnsubscribeRequest(), "declined", [])
        return Classification(Verdict_Pass(), None, [])
