"""The recipients: they look at the messages that the sink keeps, and answer – as people, as machines, as a server
that could not deliver."""

import email
import http.client
import quopri
import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from background import Background

# A webmail that loads the pixel for whoever looks: an open at any age of the message.
USER_AGENT = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
PIXEL = re.compile(r'src="(http[^"]*/t/[^"]*)"')


class People:
    def __init__(self, folder, dovecot):
        self.folder, self.dovecot, self.done = Path(folder), dovecot, Counter()
        self.thread = Background("Answering", 0.1, self.answer_all)

    def answer_all(self):
        for path in sorted(self.folder.glob("*.eml")):
            self.answer(path.read_text())
            path.unlink()

    def answer(self, text):
        message = email.message_from_string(text)
        number = sum(self.done.values())
        self.look(quopri.decodestring(text).decode(errors="replace"))
        make = REPLIES[number % len(REPLIES)]
        sender = email.utils.parseaddr(message["From"])[1]
        letter = make(message, sender, email.utils.parseaddr(message["To"])[1])
        self.dovecot.put(sender, [letter.encode()])
        self.done[make.__name__] += 1

    def look(self, text):
        url = urlsplit(PIXEL.search(text)[1])
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        connection.request("GET", url.path, headers={"User-Agent": USER_AGENT})
        connection.getresponse().read()
        connection.close()


def reply(message, sender, recipient, subject, text, more=""):
    return (f"From: <{recipient}>\nTo: <{sender}>\nSubject: {subject}\nIn-Reply-To: {message['Message-ID']}\n"
            f"References: {message['Message-ID']}\nMessage-ID: <answer-{message['Message-ID'].strip('<>')}>\n"
            f"Date: {message['Date']}\n{more}\n{text}\n")


def person(message, sender, recipient):
    return reply(message, sender, recipient, f"Re: {message['Subject']}", "That sounds useful. Call me on Friday.")


def decline(message, sender, recipient):
    return reply(message, sender, recipient, f"Re: {message['Subject']}", "No thanks.")


def vacation(message, sender, recipient):
    text = "I am out of the office until Monday."
    return reply(message, sender, recipient, "Automatic reply", text, "Auto-Submitted: auto-replied\n")


def bounce(message, sender, recipient):
    return (f"From: Mail Delivery System <mailer-daemon@there.test>\nTo: <{sender}>\nSubject: Undelivered mail\n"
            f"Message-ID: <bounce-{message['Message-ID'].strip('<>')}>\nDate: {message['Date']}\nMIME-Version: 1.0\n"
            f"Auto-Submitted: auto-replied\n"
            f'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
            f"--b\nContent-Type: text/plain\n\nIt could not be delivered.\n\n"
            f"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; there.test\n\n"
            f"Final-Recipient: rfc822; {recipient}\nAction: failed\nStatus: 5.1.1\n"
            f"Diagnostic-Code: smtp; 550 5.1.1 no such user\n\n"
            f"--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: {message['Message-ID']}\nTo: <{recipient}>\n\n--b--\n")


REPLIES = [person, vacation, decline, bounce, person, vacation]
