"""A Dovecot with two mailboxes, from the settings that the tests use, and mail that appears in them."""

import itertools
import os
import pwd
import grp
import shutil
import subprocess
import time
from pathlib import Path

from processes import Process, free_port, is_root, program
from results import ROOT

SETTINGS = ROOT / "tests" / "src" / "settings"
PASSWORD = "secret"


class Dovecot(Process):
    def __init__(self, folder, addresses):
        self.folder, self.imap_port = Path(folder), free_port()
        self.folder.mkdir()
        self.user, self.group = "mail", "mail"
        if not is_root():
            self.user, self.group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        self.numbers = itertools.count(1)
        make_certificate(self.folder)
        (self.folder / "users").write_text("".join(f"{address}:{{PLAIN}}{PASSWORD}\n" for address in addresses))
        for address in addresses:
            for part in ("new", "cur", "tmp"):
                (self.folder / "mail" / address / part).mkdir(parents=True)
        for path in [self.folder / "mail", *(self.folder / "mail").rglob("*")]:
            shutil.chown(path, self.user, self.group)
        (self.folder / "dovecot.conf").write_text(self.settings())
        command = [program("dovecot"), "-F", "-c", self.folder / "dovecot.conf"]
        super().__init__("dovecot", command, self.folder / "log")
        self.wait_for_port(self.imap_port)

    def settings(self):
        text = (SETTINGS / "dovecot.conf").read_text()
        without_root = "" if is_root() else (SETTINGS / "dovecot-without-root.conf").read_text()
        filled = {
            "WITHOUT_ROOT": without_root, "DIRECTORY": self.folder, "MAIL_USER": self.user, "MAIL_GROUP": self.group,
            "IMAP_PORT": self.imap_port, "IMAPS_PORT": free_port(), "LMTP_PORT": free_port()}
        for name, value in filled.items():
            text = text.replace(f"@{name}@", str(value))
        return text

    def deliver(self, address, text):
        """Puts a message where Dovecot looks: thousands a second, where LMTP takes hundreds."""
        box = self.folder / "mail" / address
        name = f"{time.time():.6f}.{next(self.numbers)}.soak"
        (box / "tmp" / name).write_text(text)
        shutil.chown(box / "tmp" / name, self.user, self.group)
        (box / "tmp" / name).rename(box / "new" / name)


def make_certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True)
