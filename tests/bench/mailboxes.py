"""A Dovecot with mailboxes on 127.0.0.1, and the mail that answers a campaign: people, machines, bounces, newsletters."""

import email.utils
import os
import re
import shutil
import subprocess
from pathlib import Path

from processes import Process, free_port, is_root, program

PASSWORD = "secret"
CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:{folder}/mail/%u
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
mail_fsync = never
mail_max_userip_connections = 2000
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
default_process_limit = 2000
default_client_limit = 4000
service imap-login {{
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {imaps}
    ssl = yes
  }}
  service_count = 0
  process_min_avail = 1
  client_limit = 4000
}}
service imap {{
  process_limit = 2000
}}
"""


class Dovecot(Process):
    """Mailboxes that are folders: a backlog of thousands is put straight into them."""

    def __init__(self, folder, addresses):
        self.folder = Path(folder) / "dovecot"
        self.mail = self.folder / "mail"
        self.mail.mkdir(parents=True)
        self.imap, self.imaps = free_port(), free_port()
        self.user = ("mail", "mail") if is_root() else (str(os.getuid()), str(os.getgid()))
        certify(self.folder)
        (self.folder / "users").write_text("".join(f"{one}:{{PLAIN}}{PASSWORD}\n" for one in addresses))
        settings = dict(folder=self.folder, imap=self.imap, imaps=self.imaps, user=self.user[0], group=self.user[1])
        text = CONFIGURATION.format(**settings)
        if not is_root():
            text += f"default_login_user = {self.user[0]}\ndefault_internal_user = {self.user[0]}\n"
        (self.folder / "dovecot.conf").write_text(text)
        for parent in [*reversed(self.folder.parents), self.folder, self.mail]:
            if str(parent).startswith("/tmp/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        self.own(self.mail)
        command = [program("dovecot"), "-F", "-c", self.folder / "dovecot.conf"]
        super().__init__("dovecot", command, self.folder / "log")
        self.wait_for_port(self.imap)

    def own(self, path):
        if is_root():
            shutil.chown(path, *self.user)

    def put(self, address, messages, seconds_ago=0, into="new"):
        """Lays messages into a mailbox, as if they had come then."""
        box = self.mail / address
        for name in ("cur", "new", "tmp"):
            (box / name).mkdir(parents=True, exist_ok=True)
            self.own(box / name)
        self.own(box)
        mark = ":2,S" if into == "cur" else ""
        at = int(email.utils.time.time()) - seconds_ago
        begin = sum(1 for _ in os.scandir(box / "new")) + sum(1 for _ in os.scandir(box / "cur"))
        for number, raw in enumerate(messages, begin):
            path = box / into / f"{at}.M{number:06}.bench{mark}"
            path.write_bytes(raw)
            os.utime(path, (at, at))
            self.own(path)

    def bytes_given(self):
        """What Dovecot has sent to the clients that have gone."""
        return sum(int(count) for count in re.findall(r" out=(\d+)", self.log.read_text(errors="replace")))


def certify(folder):
    """An authority in `ca.pem`, and a certificate of it for 127.0.0.1."""
    run = lambda *words: subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "7", "-subj", "/CN=Bench")
    run("req", *curve, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n")
    run("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "7",
        "-extfile", "names", "-out", "cert.pem")


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
