"""A Dovecot with mailboxes on 127.0.0.1, from the settings that the tests use, and mail that appears in them."""

import grp
import itertools
import os
import pwd
import re
import shutil
import subprocess
import time
from pathlib import Path

from processes import Process, free_port, is_root, program, reachable
from results import ROOT

SETTINGS = ROOT / "tests" / "src" / "settings"
PASSWORD = "secret"
# Beyond what the tests need: a thousand mailboxes at once.
MANY = """
default_process_limit = 2000
default_client_limit = 4000
service imap {
  process_limit = 2000
}
"""


class Dovecot(Process):
    """Mailboxes that are folders: mail is laid straight into them, thousands a second, where LMTP takes hundreds."""

    def __init__(self, folder, addresses):
        self.folder, self.imap, self.imaps = Path(folder), free_port(), free_port()
        (self.folder / "mail").mkdir(parents=True)
        self.user, self.group = "mail", "mail"
        if is_root():
            reachable(self.folder / "mail")
        else:
            self.user, self.group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        self.numbers = itertools.count()
        certify(self.folder)
        (self.folder / "users").write_text("".join(f"{address}:{{PLAIN}}{PASSWORD}\n" for address in addresses))
        self.own(self.folder / "mail")
        for address in addresses:
            box = self.folder / "mail" / address
            for part in (box, box / "new", box / "cur", box / "tmp"):
                part.mkdir()
                self.own(part)
        (self.folder / "dovecot.conf").write_text(self.settings())
        command = [program("dovecot"), "-F", "-c", self.folder / "dovecot.conf"]
        super().__init__("dovecot", command, self.folder / "log")
        self.wait_for_port(self.imap)

    def settings(self):
        text = (SETTINGS / "dovecot.conf").read_text()
        without_root = "" if is_root() else (SETTINGS / "dovecot-without-root.conf").read_text()
        filled = {
            "WITHOUT_ROOT": without_root, "DIRECTORY": self.folder, "MAIL_USER": self.user, "MAIL_GROUP": self.group,
            "IMAP_PORT": self.imap, "IMAPS_PORT": self.imaps, "LMTP_PORT": free_port()}
        for name, value in filled.items():
            text = text.replace(f"@{name}@", str(value))
        return text + MANY

    def own(self, path):
        if is_root():
            shutil.chown(path, self.user, self.group)

    def put(self, address, messages, seconds_ago=0, into="new"):
        """Lays messages into a mailbox, as if they had come then."""
        box = self.folder / "mail" / address
        mark = ":2,S" if into == "cur" else ""
        at = int(time.time()) - seconds_ago
        for raw in messages:
            name = f"{at}.M{next(self.numbers):06}.bench"
            path = box / "tmp" / name
            path.write_bytes(raw)
            os.utime(path, (at, at))
            self.own(path)
            path.rename(box / into / f"{name}{mark}")

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
