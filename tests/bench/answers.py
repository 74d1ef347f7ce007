"""The mail that answers a campaign: people, machines, bounces, newsletters."""


def answers(sends, mailbox):
    """A message for each of `sends` (id, address): of twenty 13 are people's, 3 machines', 3 bounces, one a newsletter."""
    makers = [person] * 13 + [machine] * 3 + [bounce] * 3 + [newsletter]
    return [makers[number * 7 % 20](number, *send, mailbox) for number, send in enumerate(sends)]


def person(number, send, address, mailbox):
    text = "Hi Ada,\n\nthat sounds good, tell me more about the pumps.\nShall we talk on Friday?\n\nBest\nBob\n"
    quoted = "".join(f"> We make pumps that run for years without service, line {n}.\n" for n in range(12))
    return letter(number, send, address, mailbox, "Re: A question", "", text + "\nOn Monday Ada wrote:\n" + quoted)


def machine(number, send, address, mailbox):
    more = "Auto-Submitted: auto-replied\nX-Auto-Response-Suppress: All\n"
    return letter(number, send, address, mailbox, "Automatic reply: A question", more, "I am out of the office until Monday.\n")


def newsletter(number, _send, _address, mailbox):
    text = "This week's pumps.\n" * 20
    return letter(number, None, f"news{number}@lists.test", mailbox, "Pumps weekly", "List-Id: <pumps.lists.test>\n", text)


def bounce(number, send, address, mailbox):
    body = (
        "--b\nContent-Type: text/plain\n\nYour message could not be delivered.\n\n--b\nContent-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; mx.test\n\nFinal-Recipient: rfc822; {address}\nAction: failed\nStatus: 5.1.1\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\n\n--b\nContent-Type: text/rfc822-headers\n\n"
        f"From: {mailbox}\nTo: {address}\nSubject: A question\nMessage-ID: <{send}@sender.test>\n\n--b--\n")
    more = "Auto-Submitted: auto-replied\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n"
    return letter(number, None, "mailer-daemon@mx.test", mailbox, "Undelivered Mail Returned to Sender", more, body)


def letter(number, send, sender, mailbox, subject, more, text):
    thread = f"In-Reply-To: <{send}@sender.test>\nReferences: <{send}@sender.test>\n" if send else ""
    typed = "" if "Content-Type" in more else "Content-Type: text/plain; charset=utf-8\n"
    path = "".join(
        f"Received: from relay{n}.test (relay{n}.test [192.0.2.{n}])\n\tby mx{n}.test (Postfix) with ESMTPS id {number:08x}{n}\n"
        f"\tfor <{mailbox}>; Mon, 23 Nov 2026 08:00:0{n} +0000 (UTC)\n" for n in range(3))
    raw = (
        f"Return-Path: <{sender}>\nDelivered-To: {mailbox}\n{path}From: Somebody <{sender}>\nTo: {mailbox}\n"
        f"Subject: {subject}\nDate: Mon, 23 Nov 2026 08:00:00 +0000\nMessage-ID: <bench{number}@{sender.partition('@')[2]}>\n"
        f"{thread}MIME-Version: 1.0\n{typed}{more}\n{text}")
    return raw.encode()
