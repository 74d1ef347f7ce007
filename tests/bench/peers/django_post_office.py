"""django-post_office, the mail queue of Django's applications: rows in SQLite (WAL), templates, threads that send.

    python django_post_office.py PORT COUNT PROCESSES FOLDER    → {"seconds": …, "cpu_seconds": …, "peak_bytes": …}

The mails are queued before the clock starts."""

import json
import os
import resource
import sys
import time

import django
from django.conf import settings
from django.core.management import call_command

PORT, COUNT, PROCESSES, FOLDER = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
THREADS = 10
LETTER = json.load(open(os.environ["LETTER"]))


def configure():
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        DATABASES={"default": {
            "ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER}/post_office.db",
            "OPTIONS": {"timeout": 60, "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"}}},
        EMAIL_BACKEND="post_office.EmailBackend", EMAIL_HOST="127.0.0.1", EMAIL_PORT=PORT,
        POST_OFFICE={
            "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"}, "BATCH_SIZE": 1000,
            "THREADS_PER_PROCESS": THREADS, "LOG_LEVEL": 0, "TEMPLATE_ENGINE": "django", "MAX_RETRIES": 0},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField", USE_TZ=True, SECRET_KEY="benchmark")
    django.setup()


def queue():
    from post_office import mail
    from post_office.models import Email, EmailTemplate

    template = EmailTemplate.objects.create(
        name="letter", subject=LETTER["subject"], content=LETTER["text"], html_content=LETTER["html"])
    for begin in range(0, COUNT, 1000):
        mail.send_many([{
            "recipients": [f"person{n}@company{n % 50_000}.test"], "sender": "Ada of Pumps <ada@sender.test>",
            "template": template, "context": {"first_name": f"First{n % 997}", "company": f"Company {n % 50_000}"},
            "render_on_delivery": True} for n in range(begin, min(begin + 1000, COUNT))])
    assert Email.objects.count() == COUNT


def main():
    configure()
    call_command("migrate", verbosity=0)
    queue()
    from post_office.mail import send_queued_mail_until_done
    from post_office.models import Email, STATUS

    began, before = time.monotonic(), used()
    send_queued_mail_until_done(processes=PROCESSES, log_level=0)
    seconds = time.monotonic() - began
    after = used()
    sent = Email.objects.filter(status=STATUS.sent).count()
    if sent != COUNT:
        sys.exit(f"{sent} of {COUNT} were sent")
    print(json.dumps({"seconds": seconds, "cpu_seconds": after - before, "peak_bytes": peak()}))


def used():
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


def peak():
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * 1024


if __name__ == "__main__":
    main()
